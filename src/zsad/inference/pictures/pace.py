"""How far a run is and how fast: a bar on a terminal, a log line now and then otherwise. Everything goes to stderr."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from zsad.common.progress import LOG_INTERVAL, log

T = TypeVar("T")


class Pace:
    """Counts the pictures of one run."""

    def __init__(self) -> None:
        self.done = 0
        self._total: int | None = None
        self._seconds = 0.0

    def __str__(self) -> str:
        return f"{self.done} scored, {self.rate:.1f} img/s" if self.done else "none scored"

    def expect(self, count: int) -> None:
        """As many more will come; without this word nobody knows how many."""
        self._total = self.done + count

    @property
    def rate(self) -> float:
        """Pictures a second, while there were any to score."""
        return self.done / self._seconds if self._seconds else 0.0

    def along(self, items: Iterable[T]) -> Iterator[T]:
        """Yield `items`, telling how far they are."""
        yield from self._on_terminal(items) if sys.stderr.isatty() else self._in_lines(items)

    def _timed(self, items: Iterable[T]) -> Iterator[T]:
        last = time.monotonic()
        for item in items:
            self.done += 1
            now = time.monotonic()
            self._seconds, last = self._seconds + now - last, now
            yield item

    def _in_lines(self, items: Iterable[T]) -> Iterator[T]:
        last = time.monotonic()
        for item in self._timed(items):
            if time.monotonic() - last > LOG_INTERVAL:
                of = f" of {self._total}" if self._total else ""
                log(f"predicting: {self.done}{of}, {self.rate:.1f} img/s")
                last = time.monotonic()
            yield item

    def _on_terminal(self, items: Iterable[T]) -> Iterator[T]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        with Progress("predicting", *columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("predicting", total=self._total, completed=self.done, rate="")
            for item in self._timed(items):
                bar.update(task, completed=self.done, rate=f"{self.rate:.1f} img/s")
                yield item
