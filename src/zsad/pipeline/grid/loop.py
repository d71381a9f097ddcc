"""The loop of `zsad repro`: stages whose upstream is done are checked, and run side by side where they are stale.

A stage is checked when its turn comes, as DVC does: where what came before it ended in the same bytes, it does not run.
Of those that are ready the one starts first from which the longest chain of work follows.
"""

import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.pipeline.grid.display import Display, Progress, display_of, short
from zsad.pipeline.grid.executors import Executor, Job
from zsad.pipeline.grid.expectations import LOGS, Expectations
from zsad.pipeline.grid.stages import Stages

ACCELERATED = ("train", "adapt", "predict", "predict_few_shot")  # stages that compute on a GPU where there is one
TICK = 0.25  # seconds
WRITE_EVERY = 20.0  # seconds between writings of dvc.lock
TAIL = 15  # lines of a failed stage's log that are shown
FAULT = 70


@dataclass
class Grid:
    """One run over `stages`. `logs`: folder of the stages' output."""

    stages: Stages
    executor: Executor
    expectations: Expectations
    jobs: int
    keep_going: bool = False
    logs: Path = LOGS
    failed: dict[str, int] = field(default_factory=dict)  # exit code, or −signal, of each stage that failed

    def __post_init__(self) -> None:
        self._paths = self.expectations.longest_paths(self.stages.upstream)
        self._settled: set[str] = set()  # done, unchanged, failed, or downstream of a failure
        self._held: dict[str, ExitStack] = {}
        self.progress = Progress(self.expectations, len(self.stages), self.jobs)
        self.progress.left.update(self._paths)
        self._written = time.monotonic()

    def run(self) -> None:
        """Until nothing is left that can run; what is done is recorded, whatever ends the run."""
        display = display_of(self.progress)
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            while self._turn(display):
                pass
        finally:
            signal.signal(signal.SIGTERM, before)
            self.executor.stop()
            for held in self._held.values():
                held.close()
            self.stages.write()
            self.expectations.save()
            display.close()

    def _turn(self, display: Display) -> bool:
        """Start what can start, take in what has ended; whether there is more to come."""
        self._start_ready(display)
        if not self.progress.running:
            return False
        for job, code in self.executor.ended(TICK):
            self._end(job, code, display)
        if time.monotonic() - self._written > WRITE_EVERY:
            self.stages.write()
            self._written = time.monotonic()
        display.tick()
        return True

    def _start_ready(self, display: Display) -> None:
        """Go through ready stages until none is left or no place is free; an unchanged one makes others ready."""
        while ready := [name for name in self._ready() if self.executor.has_room(wants_gpu(name))]:
            name = max(ready, key=self._paths.__getitem__)
            del self.progress.left[name]
            if not self.stages.is_stale(name):
                self.progress.unchanged += 1
                self._settle(name)
                self.stages.pass_over(name)
            elif not self.stages.prepare(name):
                self.progress.restored += 1
                self._settle(name)
                display.ended(name, "from the run cache")
            else:
                self._start(name)

    def _ready(self) -> list[str]:
        if self.failed and not self.keep_going:
            return []
        return [name for name in self.progress.left if self.stages.upstream[name] <= self._settled]

    def _start(self, name: str) -> None:
        self._held[name] = ExitStack()
        self._held[name].enter_context(self.stages.held(name))
        self.progress.running[name] = time.monotonic()
        self.executor.start(
            Job(
                name=name,
                commands=self.stages.command(name),
                directory=self.stages.directory(name),
                log=(self.logs / f"{name.replace('/', '_')}.log").absolute(),
                wants_gpu=wants_gpu(name),
                environment=self.stages.environment(name),
            )
        )

    def _end(self, job: Job, code: int, display: Display) -> None:
        seconds = time.monotonic() - self.progress.running.pop(job.name)
        self._held.pop(job.name).close()
        if code:
            self._fail(job, code, display)
            return
        self.stages.record(job.name)
        self.expectations.learn(job.name, seconds)
        self.progress.ran += 1
        self._settle(job.name)
        display.ended(job.name, f"{seconds:.1f} s")

    def _fail(self, job: Job, code: int, display: Display) -> None:
        self.failed[job.name] = code
        self.progress.failed += 1
        self.stages.pass_over(job.name)
        for name in self._downstream(job.name):
            self.progress.left.pop(name, None)
            self.stages.pass_over(name)
        display.ended(job.name, f"failed ({_said(code)}); its output: {_shown(job.log)}\n{_tail(job.log)}")

    def _downstream(self, name: str) -> list[str]:
        found = {name}
        for other in self.stages:  # in running order: upstream first
            if self.stages.upstream[other] & found:
                found.add(other)
        return [other for other in found if other != name]

    def _settle(self, name: str) -> None:
        self._settled.add(name)


def wants_gpu(name: str) -> bool:
    """Whether a stage computes on an accelerator."""
    return name.partition("@")[0] in ACCELERATED


def plan(stages: Stages) -> Mapping[str, str]:
    """What would run: `stale` stages, and those that follow from one (`may run`: it depends on what comes out)."""
    found: dict[str, str] = {}
    for name in stages:
        if stages.upstream[name] & found.keys():
            found[name] = "may run"
        elif stages.is_stale(name):
            found[name] = "stale"
    return found


def exit_code(failed: Mapping[str, int]) -> int:
    """2 where every failure was the user's input, 70 else."""
    return UserError.exit_code if set(failed.values()) == {UserError.exit_code} else FAULT


def summary(grid: Grid, seconds: float) -> str:
    """What a run came to."""
    progress = grid.progress
    counts = f"{progress.ran} stages run, {progress.restored} from the run cache, {progress.unchanged} unchanged"
    lost = len(grid.stages) - progress.done
    failures = [f"failed: {', '.join(grid.failed)}"] if grid.failed else []
    skipped = [f"{lost} not run"] if lost else []
    return "; ".join([f"{counts} in {short(seconds)}", *failures, *skipped])


def _said(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _tail(path: Path) -> str:
    lines: Sequence[str] = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return "\n".join(f"    {line}" for line in lines[-TAIL:])


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
