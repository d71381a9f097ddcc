"""Two ends of a line: a process takes its turns when it is told to, and says what each took."""

from pathlib import Path

import pytest

from zsad.pipeline.bench.against.turns import COUNT, GoneError, Turn, begin_peak, peak_of_process, side

LOOP = """
import itertools, sys
from contextlib import contextmanager
from zsad.pipeline.bench.against.turns import Turns
@contextmanager
def counted():
    yield lambda: 7
now = itertools.count()
turns = Turns(sys.stdin, sys.stdout, clock=lambda: next(now), peak=lambda: 5.0, counted=counted)
for _ in range(3):
    turns.next()
    next(now)
turns.end()
sys.exit("no more")
"""


def test_turns_are_timed_and_counted_on_demand(tmp_path: Path) -> None:
    with side(["-c", LOOP], tmp_path / "log", {}) as one:
        assert one.take() == Turn(2, 5.0)
        assert one.take(COUNT) == Turn(2, 5.0, 7)
        assert one.take() == Turn(2, 5.0)
        with pytest.raises(GoneError):
            one.take()
        assert not one.finish()
        assert one.last_words == "no more"


def test_a_process_that_nobody_tells_anything_ends(tmp_path: Path) -> None:
    with side(["-c", LOOP], tmp_path / "log", {}) as one:
        assert one.process.stdin
        one.process.stdin.close()
        assert not one.finish()
        assert "GoneError" in one.last_words


def test_the_peak_begins_afresh() -> None:
    begin_peak()
    before = peak_of_process()
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    assert 60 < peak_of_process() - before < 90
    del block
    begin_peak()
    assert peak_of_process() < before + 30
