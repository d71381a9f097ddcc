"""Ctrl-C and SIGTERM while stages run: heeded between two steps, so that none breaks off inside DVC's bookkeeping.

An exception out of a signal handler may come anywhere, also between taking one of DVC's locks and knowing of it; what
is then to be given back cannot be.
"""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The first signal waits for `heed`; the second raises KeyboardInterrupt where it comes."""

    def __init__(self) -> None:
        self._asked = False

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside the block the signals are this object's."""
        before = {number: signal.signal(number, self._take) for number in SIGNALS}
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
