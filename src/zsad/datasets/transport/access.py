"""Places that cannot be read or written, and a process that is told to end: said clearly, with nothing left behind."""

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zsad.common.errors import UserError

PLACE = {
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
TERMINATED = 128 + signal.SIGTERM  # exit code, as shells have it


@contextmanager
def access_named() -> Iterator[None]:
    """A place that cannot be read or written inside the block becomes a UserError that names it."""
    try:
        yield
    except OSError as error:
        if error.errno not in PLACE or error.filename is None:
            raise
        raise UserError(
            f"{error.filename}: {error.strerror}; check that it is the place you meant and that you may use it"
        ) from error


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Inside the block SIGTERM unwinds the process as Ctrl-C does, so that half-written folders are removed."""
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
