"""The frozen CLIP towers behind one adapter."""
