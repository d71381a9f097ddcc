"""The metrics themselves, from arrays: streaming ones, and the exact ones that they are tested against."""
