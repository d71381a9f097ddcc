"""What every room may use and none is about: errors, files, seeds, progress, digests of source code.

Imports no other room.
"""
