"""Datasets: what exists, how to get it, and how to read it."""
