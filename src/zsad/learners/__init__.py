"""Prompt learners: one file a method."""
