"""The loop of `zsad repro`: stages whose upstream is done are checked, and run side by side where they are stale.

A stage is checked when its turn comes, as DVC does: where what came before it ended in the same bytes, it does not run.
Of those that are ready the one starts first from which the longest chain of work follows.
"""

import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from zsad.common.errors import OUR_FAULT, UserError
from zsad.common.interrupts import Interrupts
from zsad.pipeline.grid.display import Display, Progress, Settled, display_of, short
from zsad.pipeline.grid.executors import Executor, Job
from zsad.pipeline.grid.expectations import LOGS, Expectations
from zsad.pipeline.grid.stages import Stages

ACCELERATED = (  # stages that compute on a GPU where there is one
    *("train", "adapt", "adapt_trained"),
    *("predict", "predict_few_shot", "predict_adapted"),
)
TORCH = (*ACCELERATED, "weights")
TICK = 0.25  # seconds
WRITE_EVERY = 60.0  # seconds between writings of dvc.lock
TAIL = 15  # lines of a failed stage's log that are shown


@dataclass
class Grid:
    """One run over `stages`. `logs`: folder of the stages' output."""

    stages: Stages
    executor: Executor
    expectations: Expectations
    jobs: int
    keep_going: bool = False
    logs: Path = LOGS

    def __post_init__(self) -> None:
        self._paths = self.expectations.longest_paths(self.stages.upstream)
        self._settled: set[str] = set()  # run, restored or unchanged
        self._unchecked = list(self.stages)
        self._due: list[Job] = []
        self._held: dict[str, ExitStack] = {}
        self._interrupts = Interrupts()
        self.progress = Progress(self.expectations, len(self.stages), self.jobs)
        self.progress.left.update(self._paths)
        self._written = time.monotonic()

    def run(self) -> None:
        """Until nothing is left that can run; what is done is recorded, whatever ends the run."""
        display = display_of(self.progress)
        with self._interrupts.deferred():
            try:
                while self._turn(display):
                    pass
            finally:
                self.executor.stop()
                for held in self._held.values():
                    held.close()
                self.stages.write()
                self.expectations.save()
                display.close()

    def _turn(self, display: Display) -> bool:
        """Start what can start, take in what has ended; whether there is more to come."""
        self._check_ready(display)
        self._start_due()
        if not self.progress.running and not self._due:
            return False
        for job, code in self.executor.ended(TICK):
            if code:
                self._interrupts.heed()  # a terminal interrupts workers as well: theirs is no failure
            self._end(job, code, display)
        self._interrupts.heed()
        if time.monotonic() - self._written > WRITE_EVERY:
            self.stages.write()
            self._written = time.monotonic()
        display.tick()
        return True

    def _check_ready(self, display: Display) -> None:
        """Go through stages whose upstream is settled: unchanged, from the run cache, or due."""
        while ready := [name for name in self._unchecked if self.stages.upstream[name] <= self._settled]:
            for name in ready:
                self._interrupts.heed()
                self._unchecked.remove(name)
                if not self.stages.is_stale(name):
                    self.stages.pass_over(name)
                    self._settle(name, "unchanged")
                elif self.stages.restore(name):
                    self._settle(name, "restored")
                    display.ended(name, "from the run cache")
                else:
                    self._due.append(self._job(name))

    def _start_due(self) -> None:
        """Start due stages while there is room for one; after a failure none, unless the rest is to go on."""
        if self.progress.failed and not self.keep_going:
            self._due.clear()
        while fitting := [job for job in self._due if self.executor.has_room(job)]:
            self._interrupts.heed()
            job = max(fitting, key=lambda job: self._paths[job.name])
            self._due.remove(job)
            self.stages.prepare(job.name)
            self._held[job.name] = ExitStack()
            self._held[job.name].enter_context(self.stages.held(job.name))
            self.progress.left.pop(job.name)
            self.progress.running[job.name] = time.monotonic()
            self.executor.start(job)

    def _job(self, name: str) -> Job:
        kind = name.partition("@")[0]
        return Job(
            name=name,
            commands=self.stages.command(name),
            directory=self.stages.directory(name),
            log=(self.logs / f"{name.replace('/', '_')}.log").absolute(),
            loads_torch=kind in TORCH,
            wants_gpu=kind in ACCELERATED,
            environment=self.stages.environment(name),
        )

    def _end(self, job: Job, code: int, display: Display) -> None:
        seconds = time.monotonic() - self.progress.running.pop(job.name)
        self._held.pop(job.name).close()
        if code:
            self._fail(job, code, _said(code), display)
            return
        try:
            self.stages.record(job.name)
        except UserError as error:  # such as an output that the command did not write
            self._fail(job, OUR_FAULT, str(error), display)
            return
        self.expectations.learn(job.name, seconds)
        self._settle(job.name, "ran")
        display.ended(job.name, f"{seconds:.1f} s")

    def _fail(self, job: Job, code: int, why: str, display: Display) -> None:
        self.progress.failed[job.name] = code
        self.stages.pass_over(job.name)
        for name in self._downstream(job.name):
            self._unchecked.remove(name)
            self.progress.left.pop(name)
            self.stages.pass_over(name)
        display.ended(job.name, f"failed ({why}); its output: {_shown(job.log)}\n{_tail(job.log)}")

    def _downstream(self, name: str) -> list[str]:
        found = {name}
        for other in self.stages:  # in running order: upstream first
            if self.stages.upstream[other] & found:
                found.add(other)
        return [other for other in found if other != name]

    def _settle(self, name: str, how: Settled) -> None:
        self._settled.add(name)
        self.progress.left.pop(name, None)
        self.progress.counts[how] += 1


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
    return UserError.exit_code if set(failed.values()) == {UserError.exit_code} else OUR_FAULT


def summary(grid: Grid, seconds: float) -> str:
    """What a run came to."""
    progress, ended = grid.progress, grid.progress.counts
    counts = f"{ended['ran']} stages run, {ended['restored']} from the run cache, {ended['unchanged']} unchanged"
    lost = len(grid.stages) - progress.done
    failures = [f"failed: {', '.join(progress.failed)}"] if progress.failed else []
    skipped = [f"{lost} not run"] if lost else []
    return "; ".join([f"{counts} in {short(seconds)}", *failures, *skipped])


def _said(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _tail(path: Path) -> str:
    lines: Sequence[str] = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return "\n".join(f"    {line}" for line in lines[-TAIL:])
