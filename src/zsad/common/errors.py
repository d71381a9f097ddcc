"""What zsad says when it cannot go on, and the exit code that goes with it."""

OUR_FAULT = 70  # exit code of what is no fault of the user's input


class UserError(Exception):
    """The user's input is at fault. The message names the file or parameter and the remedy; exit code 2."""

    exit_code = 2
