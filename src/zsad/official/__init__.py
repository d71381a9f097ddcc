"""Checkpoints of the authors' own codes: one small file a method says what theirs holds."""
