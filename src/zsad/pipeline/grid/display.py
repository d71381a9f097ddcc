"""What `zsad repro` shows: one live table on a terminal, plain lines elsewhere. Output of stages goes to their logs."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from zsad.common.progress import log
from zsad.pipeline.grid.expectations import Expectations

if TYPE_CHECKING:
    from rich.console import Group

Settled = Literal["ran", "restored", "unchanged"]  # how a stage came to be up to date
HEARTBEAT = 30.0  # seconds between lines that only say what runs


@dataclass
class Progress:
    """Where a run is. running: when each stage started (time.monotonic); left: stages that may still run."""

    expectations: Expectations
    total: int
    jobs: int
    left: dict[str, float] = field(default_factory=dict)  # seconds from its start to the end of all that follows
    running: dict[str, float] = field(default_factory=dict)
    counts: Counter[Settled] = field(default_factory=Counter)
    failed: dict[str, int] = field(default_factory=dict)  # exit code, or −signal, of each stage that failed

    @property
    def done(self) -> int:
        """Stages that are dealt with."""
        return self.counts.total() + len(self.failed)

    def rest_of(self, name: str) -> float:
        """Seconds that a running stage should still take."""
        return max(0.0, self.expectations.of(name) - (time.monotonic() - self.running[name]))

    @property
    def seconds_left(self) -> float:
        """The work that is left on all places, but at least the longest chain of it."""
        rest = {name: self.rest_of(name) for name in self.running}
        work = sum(rest.values()) + sum(self.expectations.of(name) for name in self.left)
        return max([work / self.jobs, *rest.values(), *self.left.values()])

    @property
    def told(self) -> str:
        """One line."""
        parts = [f"{self.done} of {self.total} stages done"]
        parts += [f"{count} {what}" for count, what in self._counts() if count]
        if self.running or self.left:
            parts.append(f"about {short(self.seconds_left)} left")
        return ", ".join(parts)

    def _counts(self) -> list[tuple[int, str]]:
        restored = (self.counts["restored"], "from the run cache")
        return [(self.counts["unchanged"], "unchanged"), restored, (len(self.failed), "failed")]


def short(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class Display(Protocol):
    """Shows a `Progress` and how stages end."""

    def ended(self, name: str, how: str) -> None:
        """A stage has ended; `how`: in words."""

    def tick(self) -> None:
        """Called a few times a second."""

    def close(self) -> None:
        """Nothing more comes."""


class Lines:
    """A line when a stage ends, and one now and then."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last = time.monotonic()

    def ended(self, name: str, how: str) -> None:
        self._last = time.monotonic()
        log(f"[{self._progress.done}/{self._progress.total}] {name}: {how}")

    def tick(self) -> None:
        now = time.monotonic()
        if now - self._last > HEARTBEAT and self._progress.running:
            self._last = now
            running = ", ".join(f"{name} {now - begun:.0f} s" for name, begun in self._progress.running.items())
            log(f"{running}; {self._progress.told}")

    def close(self) -> None:
        pass


class LiveTable:
    """What runs, for how long and how long it should; ended stages scroll by above."""

    def __init__(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.live import Live

        self._progress = progress
        self._live = Live(self._table(), console=Console(stderr=True), refresh_per_second=4, transient=True)
        self._live.start()

    def ended(self, name: str, how: str) -> None:
        self._live.console.print(f"[{self._progress.done}/{self._progress.total}] {name}: {how}", markup=False)

    def tick(self) -> None:
        self._live.update(self._table())

    def close(self) -> None:
        self._live.stop()

    def _table(self) -> "Group":
        from rich.console import Group
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for heading in ("running", "for", "should take"):
            table.add_column(heading, justify="left" if heading == "running" else "right")
        for name, begun in self._progress.running.items():
            table.add_row(name, short(time.monotonic() - begun), short(self._progress.expectations.of(name)))
        return Group(self._progress.told, table)


def display_of(progress: Progress) -> Display:
    """The one that fits standard error."""
    return LiveTable(progress) if sys.stderr.isatty() else Lines(progress)
