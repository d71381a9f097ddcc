"""What zsad says when it cannot go on, and the exit code that goes with it."""


class UserError(Exception):
    """The user's input is at fault. The message names the file or parameter and the remedy; exit code 2."""

    exit_code = 2
