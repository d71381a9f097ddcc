"""Progress of bytes: a bar on a terminal, a log line now and then otherwise. Everything goes to stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.filesize import decimal

from zsad.common import progress

if TYPE_CHECKING:
    from rich.progress import Progress


class Meter:
    """Counts bytes; `total` may become known late or never."""

    def __init__(self, label: str, done: int, total: int | None, bar: "Progress | None") -> None:
        self.label, self.done, self.total = label, done, total
        self._bar = bar
        self._task = bar.add_task(label, total=total, completed=done) if bar else None
        self._logged = time.monotonic()

    def advance(self, count: int) -> None:
        """`count` more bytes are done."""
        self.at(self.done + count, self.total)

    def at(self, done: int, total: int | None) -> None:
        """`done` bytes in all are done."""
        self.done, self.total = done, total
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._logged > progress.LOG_INTERVAL:
            progress.log(f"{self.label}: {decimal(done)}" + (f" of {decimal(total)}" if total else ""))
            self._logged = time.monotonic()


@contextmanager
def byte_meter(label: str, total: int | None = None, done: int = 0) -> Iterator[Meter]:
    """A meter that starts at `done` bytes, shown while the block runs."""
    if not sys.stderr.isatty():
        yield Meter(label, done, total, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        yield Meter(label, done, total, bar)
