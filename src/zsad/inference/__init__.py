"""From a checkpoint and pictures to scores and anomaly maps: for the pipeline (`predict`) and for people (`model`).

May import `training` (its checkpoints) and what that may import.
"""
