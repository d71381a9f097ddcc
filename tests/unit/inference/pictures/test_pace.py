"""How far a run is: lines in a log, a bar on a terminal, and the rate over the time that was spent on pictures."""

import sys
import time
from collections.abc import Iterator

import pytest

from zsad.inference.pictures import pace
from zsad.inference.pictures.pace import Pace


def slow(count: int) -> Iterator[int]:
    for number in range(count):
        time.sleep(0.02)
        yield number


def test_lines_say_how_many_of_how_many(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(pace, "LOG_INTERVAL", 0.0)
    told = Pace()
    told.expect(3)
    assert list(told.along(slow(3))) == [0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"predicting: {n} of 3" for n in (1, 2, 3)]
    assert all(line.endswith(" img/s") for line in lines)
    told.expect(2)
    list(told.along(slow(2)))
    assert "predicting: 5 of 5" in capsys.readouterr().err


def test_waiting_for_pictures_is_no_work() -> None:
    told = Pace()
    assert str(told) == "none scored"
    start = time.monotonic()
    list(told.along(slow(3)))
    time.sleep(0.3)
    list(told.along(slow(3)))
    assert told.rate >= 6 / (time.monotonic() - start - 0.3)
    assert str(told) == f"6 scored, {told.rate:.1f} img/s"


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    told = Pace()
    told.expect(3)
    assert list(told.along(slow(3))) == [0, 1, 2]
    assert "predicting" in capsys.readouterr().err
