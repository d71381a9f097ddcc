"""Progress of long work: a bar on a terminal, a log line now and then otherwise. Everything goes to stderr."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
LOG_INTERVAL = 15.0  # seconds between log lines when stderr is not a terminal


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yield `items`, telling how far they are."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(items, description=label, total=total, console=Console(stderr=True), transient=True)
        return
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last > LOG_INTERVAL:
            log(f"{label}: {done} of {total}")
            last = time.monotonic()
        yield item


def log(message: str) -> None:
    """One line to stderr, at once."""
    print(message, file=sys.stderr, flush=True)
