"""How long a stage should take, and what follows for the order and for the time that is left."""

import time
from pathlib import Path

import pytest

from zsad.pipeline.grid.display import Lines, LiveTable, Progress, short
from zsad.pipeline.grid.expectations import Expectations


def test_a_stage_takes_what_it_took_then_what_its_kind_took_then_a_guess(tmp_path: Path) -> None:
    known = Expectations(tmp_path / "seconds.json")
    assert known.of("train@a-x") == 40
    known.learn("train@a-x", 10.04)
    known.learn("train@b-x", 20)
    known.save()
    again = Expectations(tmp_path / "seconds.json")
    assert again.of("train@a-x") == 10
    assert again.of("train@c-x") == 15
    assert again.of("anything") == 2


def test_the_longest_chain_counts(tmp_path: Path) -> None:
    known = Expectations(tmp_path / "seconds.json")
    for name, seconds in {"a": 1, "b": 5, "c": 2, "d": 3}.items():
        known.learn(name, seconds)
    assert known.longest_paths({"a": [], "b": ["a"], "c": ["a"], "d": ["c"]}) == {"a": 6, "b": 5, "c": 5, "d": 3}


def test_what_is_left_is_shared_by_the_jobs_but_no_shorter_than_a_chain(tmp_path: Path) -> None:
    known = Expectations(tmp_path / "seconds.json")
    for name, seconds in {"a": 30, "b": 30, "c": 30}.items():
        known.learn(name, seconds)
    progress = Progress(known, total=4, jobs=2, left={"b": 30.0, "c": 30.0}, running={"a": time.monotonic() - 10})
    assert progress.seconds_left == pytest.approx(40, abs=1)
    progress.left["b"] = 60.0  # c follows b
    assert progress.seconds_left == pytest.approx(60, abs=1)


def test_lines_say_what_ended_and_now_and_then_what_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress(Expectations(tmp_path / "x.json"), total=9, jobs=1, running={"train@a-x": time.monotonic()})
    progress.counts.update(ran=2, unchanged=3)
    lines = Lines(progress)
    lines.ended("fetch@x", "1.0 s")
    lines.tick()
    assert capsys.readouterr().err == "[5/9] fetch@x: 1.0 s\n"
    monkeypatch.setattr("zsad.pipeline.grid.display.HEARTBEAT", -1)
    lines.tick()
    told = capsys.readouterr().err
    assert "train@a-x 0 s; 5 of 9 stages done, 3 unchanged, about 40 s left" in told


@pytest.mark.parametrize(("seconds", "told"), [(4.4, "4 s"), (100, "2 min"), (7500, "2 h 05 min")])
def test_times(seconds: float, told: str) -> None:
    assert short(seconds) == told


def test_the_table_of_a_terminal_tells_the_same(tmp_path: Path) -> None:
    from rich.console import Console

    progress = Progress(Expectations(tmp_path / "x.json"), total=9, jobs=1, running={"train@a-x": time.monotonic()})
    table = LiveTable(progress)
    table.close()
    console = Console(width=60, record=True)
    console.print(table._table())
    told = console.export_text()
    assert "0 of 9 stages done, about 40 s left" in told
    assert ["train@a-x", "0", "s", "40", "s"] in [line.split() for line in told.splitlines()]
