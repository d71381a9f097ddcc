"""The arithmetic of the gate, by properties."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.gate_cases import CELL_LIMITS, MEAN_LIMITS, make_cell
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import compare

CELL_VALUES = st.one_of(st.none(), st.floats(0, 1))
GRIDS = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", "z"])),
    st.tuples(CELL_VALUES, CELL_VALUES),
    min_size=1,
)


def both_sides(grid: dict[tuple[str, str], tuple[float | None, float | None]]) -> tuple[dict, dict]:
    before = {name: make_cell(*name, value=old) for name, (old, _) in grid.items()}
    return before, {name: make_cell(*name, value=new) for name, (_, new) in grid.items()}


@settings(deadline=None)
@given(GRIDS)
def test_compared_with_itself_nothing_regresses(grid: dict) -> None:
    before, _ = both_sides(grid)
    assert not any(change.regressed for change in compare(before, copy.deepcopy(before), CELL_LIMITS, MEAN_LIMITS))


@settings(deadline=None)
@given(GRIDS)
def test_verdicts_follow_the_definition(grid: dict) -> None:
    changes = compare(*both_sides(grid), CELL_LIMITS, MEAN_LIMITS)
    assert [c.excess for c in changes] == sorted((c.excess for c in changes), reverse=True)
    numbers = {name: pair for name, pair in grid.items() if None not in pair}
    assert len([c for c in changes if c.scope == "cell"]) == len(METRICS) * len(numbers)
    for change in changes:
        pairs = [p for name, p in numbers.items() if name[0] == change.learner]
        if change.scope == "cell":
            pairs = [numbers[change.learner, change.dataset]]
        drop = sum(old - new for old, new in pairs) / len(pairs)
        assert change.change == pytest.approx(-drop, abs=1e-12)
        if abs(drop - change.tolerance) > 1e-8:
            assert change.regressed == (drop > change.tolerance)


@settings(deadline=None)
@given(GRIDS, st.floats(0, 0.2))
def test_a_wider_tolerance_never_adds_a_regression(grid: dict, extra: float) -> None:
    def regressed(limits: dict[str, float]) -> set[tuple[str, str, str, str]]:
        changes = compare(*both_sides(grid), limits, limits)
        return {(c.scope, c.learner, c.dataset, c.metric) for c in changes if c.regressed}

    assert regressed({m: v + extra for m, v in CELL_LIMITS.items()}) <= regressed(CELL_LIMITS)
