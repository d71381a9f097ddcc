"""Bringing archives and folders here: downloads that resume, hashes before use, unpacking that is safe."""
