"""A signal during a run of the grid: never inside DVC's bookkeeping, always between two steps of the loop."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zsad.common.interrupts import SIGNALS, Interrupts
from zsad.pipeline.grid.executors import Job
from zsad.pipeline.grid.expectations import Expectations
from zsad.pipeline.grid.loop import Grid


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """As in a terminal: what a shell starts in the background ignores SIGINT, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class FakeStages(dict[str, str]):
    """Two stages, one after the other; `at`: the call that a signal meets, `calls`: those that ended."""

    def __init__(self, at: str, number: int) -> None:
        super().__init__(one="first", two="second")
        self.upstream: dict[str, set[str]] = {"one": set(), "two": {"one"}}
        self.at, self.number = at, number
        self.calls: list[str] = []
        self.inside: set[str] = set()

    def _done(self, call: str) -> None:
        if call == self.at:
            os.kill(os.getpid(), self.number)
        self.calls.append(call)

    def is_stale(self, name: str) -> bool:
        self._done(f"is_stale {name}")
        return True

    def restore(self, name: str) -> bool:
        self._done(f"restore {name}")
        return False

    def prepare(self, name: str) -> None:
        self._done(f"prepare {name}")

    def record(self, name: str) -> None:
        self._done(f"record {name}")

    def command(self, name: str) -> list[str]:
        return [self[name]]

    def directory(self, name: str) -> str:
        return "."

    def environment(self, name: str) -> dict[str, str]:
        return {}

    def pass_over(self, name: str) -> None:
        self._done(f"pass_over {name}")

    def write(self) -> None:
        assert not self.inside, "stages are still held"
        self._done("write")

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        self._done(f"hold {name}")
        self.inside.add(name)
        yield
        self.inside.discard(name)
        self._done(f"release {name}")


class FakeExecutor:
    """Ends each job in the turn after its start, with exit code `code`."""

    def __init__(self, code: int = 0) -> None:
        self.running: list[Job] = []
        self.code = code
        self.stopped = False

    def has_room(self, job: Job) -> bool:
        return True

    def start(self, job: Job) -> None:
        self.running.append(job)

    def ended(self, timeout: float) -> list[tuple[Job, int]]:
        ended, self.running = self.running, []
        return [(job, self.code) for job in ended]

    def stop(self) -> None:
        self.stopped = True


def grid(stages: Any, executor: FakeExecutor, tmp_path: Path) -> Grid:
    return Grid(stages, executor, Expectations(tmp_path / "seconds.json"), 1)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("at", ["is_stale one", "restore one", "prepare one", "hold one", "record one", "is_stale two"])
def test_the_step_that_a_signal_meets_is_finished(at: str, number: int, tmp_path: Path) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    stages, executor = FakeStages(at, number), FakeExecutor()
    with pytest.raises(KeyboardInterrupt):
        grid(stages, executor, tmp_path).run()
    assert at in stages.calls
    assert stages.calls[-1] == "write"
    assert executor.stopped
    assert "prepare two" not in stages.calls
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_a_worker_that_the_terminal_interrupted_did_not_fail(tmp_path: Path) -> None:
    stages, executor = FakeStages("hold one", signal.SIGINT), FakeExecutor(code=130)
    running = grid(stages, executor, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        running.run()
    assert not running.progress.failed


def test_what_ended_well_meanwhile_is_recorded(tmp_path: Path) -> None:
    stages = FakeStages("hold one", signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        grid(stages, FakeExecutor(), tmp_path).run()
    assert "record one" in stages.calls


def test_what_was_to_be_ignored_is(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stages = FakeStages("hold one", signal.SIGINT)
    grid(stages, FakeExecutor(), tmp_path).run()
    assert "record two" in stages.calls


def test_the_second_signal_does_not_wait() -> None:
    interrupts = Interrupts()
    with interrupts.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupts.heed()
