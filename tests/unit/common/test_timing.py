"""Times in turn, by a clock of the test's own."""

import itertools

import pytest

from zsad.common.timing import Times, in_turn, ratios


def test_things_run_in_turn_and_the_first_time_does_not_count() -> None:
    ran: list[str] = []
    now = itertools.count()
    works = {"one": lambda: ran.append("one"), "two": lambda: ran.append("two")}
    found = in_turn(works, 3, settled=lambda: ran.append("settled"), clock=lambda: float(next(now)))
    assert ran == ["one", "two", "settled", *["one", "settled", "two", "settled"] * 3]
    assert found == {"one": Times((1.0, 1.0, 1.0)), "two": Times((1.0, 1.0, 1.0))}


def test_medians_and_ratios_are_of_the_same_round() -> None:
    slow, fast = Times((3.0, 30.0, 3.0, 6.0)), Times((1.0, 10.0, 1.0, 3.0))
    assert slow.median == 4.5
    assert ratios(slow, fast) == 3.0
    assert Times((1.0,) * 8).spread == 0
    assert Times((1.0, 1.0, 2.0, 2.0)).spread == pytest.approx(1 / 3)
