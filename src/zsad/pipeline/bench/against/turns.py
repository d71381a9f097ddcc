"""Two processes that take turns: each runs one step of its loop when told to, says what it took, and waits.

A line for each turn: `time` or `count` to the process; seconds, peak memory in MiB and operations from it, as JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

TIME, COUNT = "time", "count"
PEAK_OF_ALL = Path("/proc/self/clear_refs")  # writing 5 there begins VmHWM of /proc/self/status afresh
SHOWN = 15  # lines of its output that are shown of a process that failed


class GoneError(Exception):
    """The other end of the line has ended."""


@dataclass(frozen=True)
class Turn:
    """Seconds of one step, the process's peak memory in MiB meanwhile, and operations where they were counted."""

    seconds: float
    peak: float
    operations: int | None = None


@dataclass
class Turns:
    """In the process: `next` before each step of the loop, `end` after the last.

    clock: seconds; settled: returns when what was started is done; peak: MiB since the turn began; operations: context
    manager that gives a function for what was counted.
    """

    told: IO[str]
    tell: IO[str]
    clock: Callable[[], float] = time.perf_counter
    settled: Callable[[], object] = lambda: None
    peak: Callable[[], float] = lambda: 0.0
    begin_peak: Callable[[], object] = lambda: None
    counted: Callable[[], Any] | None = None
    _begun: float | None = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _count: Callable[[], int] | None = None

    def next(self) -> None:
        """Ends the step before, if any, waits to be told, and begins the next."""
        self.end()
        command = self.told.readline().strip()
        if not command:
            raise GoneError
        self.begin_peak()
        if command == COUNT and self.counted:
            self._count = self._stack.enter_context(self.counted())
        self._begun = self.clock()

    def end(self) -> None:
        """Says what the step took that runs, if one does."""
        if self._begun is None:
            return
        self.settled()
        seconds = self.clock() - self._begun
        operations = self._count() if self._count else None
        self._stack.close()
        self._begun = self._count = None
        print(json.dumps([seconds, self.peak(), operations]), file=self.tell, flush=True)


class Side:
    """From outside: a process that takes turns, and its output in a file."""

    def __init__(self, arguments: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("w", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                env={**os.environ, **environment},
            )

    def take(self, command: str = TIME) -> Turn:
        """One turn; GoneError if the process has ended instead."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            print(command, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise GoneError from None
        line = self.process.stdout.readline()
        if not line:
            raise GoneError
        return Turn(*json.loads(line))

    def finish(self) -> bool:
        """Whether it ended well, once it has ended."""
        return self.process.wait() == 0

    @property
    def last_words(self) -> str:
        """The end of its output."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN:])


@contextmanager
def side(arguments: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[Side]:
    """A process that is gone afterwards, whatever happened."""
    one = Side(arguments, log, environment)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        for pipe in (one.process.stdin, one.process.stdout):
            if pipe and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what it was told last is nothing to it any more


def begin_peak() -> None:
    """From here on `peak_of_process` counts afresh, where the system can."""
    if PEAK_OF_ALL.exists():
        PEAK_OF_ALL.write_text("5")


def peak_of_process() -> float:
    """Largest resident memory of this process, MiB."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)
