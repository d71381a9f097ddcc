"""The command line: a file a room, named like it. A command parses, calls one function of its room and prints.

May import every room. Rooms are imported when their command runs, so that `zsad --help` starts at once.
"""
