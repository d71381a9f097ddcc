"""Ctrl-C and SIGTERM during long work: heeded between two steps, so that none breaks off inside somebody's bookkeeping.

An exception out of a signal handler may come anywhere: between taking a lock and knowing of it, or where it is lost.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The first signal waits for `heed`; the second raises KeyboardInterrupt where it comes."""

    def __init__(self) -> None:
        self._asked = False

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside the block the signals are this object's, but for those that this process was started to ignore."""
        is_main = threading.current_thread() is threading.main_thread()  # only there may handlers be set
        heeded = [number for number in SIGNALS if is_main and signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._take) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def heed(self) -> None:
        """Raise KeyboardInterrupt where a signal has come."""
        if self._asked:
            raise KeyboardInterrupt

    def _take(self, *_: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
