"""From a manifest to checkpoints: trained on an auxiliary source, adapted to a target, or imported.

May import `learners` and what that may import.
"""
