"""Checkpoints of the authors' own codes: a small file a method says what theirs holds, `convert` makes one ours.

`reuse` lets a converted file stand in for training.
"""
