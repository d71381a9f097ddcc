"""Room on the disk, asked for before it is needed."""

import shutil
from pathlib import Path

from rich.filesize import decimal

from zsad.common.errors import UserError


def require_space(folder: Path, needed: int, what: str) -> None:
    """UserError unless the disk of `folder` (which exists) has `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {what} needs {decimal(needed)}, but only {decimal(free)} are free on this disk; "
            "free some space and run the command again"
        )
