"""Rank tests against the worked example of Demšar 2006 (section 3.2, table 6) and by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from zsad.evaluation.comparison.diagram import diagram
from zsad.evaluation.comparison.ranks import (
    critical_difference,
    iman_davenport,
    least_wilcoxon,
    rank_test,
    wilcoxon,
)

NAMES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
TABLE_6 = np.array(  # AUC on 14 sets; ties of voting are rounded in print: his ranks there are 4, 1, 2, 3
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
TIES = 1 - (3 * (2**3 - 2) + (4**3 - 4)) / (14 * 4 * (4**2 - 1))  # scipy corrects χ² for them, Demšar does not


def named(table: np.ndarray) -> dict[str, list[float]]:
    names = NAMES if table.shape[1] == len(NAMES) else [f"m{i}" for i in range(table.shape[1])]
    return dict(zip(names, table.T.tolist(), strict=True))


@pytest.fixture
def example():
    return rank_test("auc", named(TABLE_6), [f"set_{i}" for i in range(14)])


def test_demsars_example(example) -> None:
    assert list(example.mean_ranks) == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert list(example.mean_ranks.values()) == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert example.chi2 * TIES == pytest.approx(9.28, abs=5e-3)
    f, p = iman_davenport(9.28, 14, 4)
    assert f == pytest.approx(3.69, abs=5e-3)
    assert p == pytest.approx(0.019, abs=2e-3)  # above the critical value F(3, 39) = 2.85 of the paper
    assert example.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert example.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)  # 3.143 − 1.964 < 1.25
    assert example.can_tell


def test_the_critical_values_of_his_table_5() -> None:
    for learners, q in {2: 1.960, 3: 2.343, 4: 2.569, 7: 2.949, 10: 3.164}.items():
        found = critical_difference(learners, 10) / (learners * (learners + 1) / 60) ** 0.5
        assert found == pytest.approx(q, abs=1.5e-3)
    assert critical_difference(5, 30, alpha=0.1) == pytest.approx(2.459 * (5 * 6 / 180) ** 0.5, abs=1e-3)


def test_wilcoxon_pairs_are_corrected_by_holm(example) -> None:
    raw = np.sort([pair.p for pair in example.pairs])
    by_hand = np.minimum(1, np.maximum.accumulate(raw * np.arange(len(raw), 0, -1)))
    assert np.sort([pair.adjusted for pair in example.pairs]) == pytest.approx(by_hand)
    assert len(example.pairs) == 6


def test_demsars_example_of_wilcoxon(example) -> None:
    """Section 3.1.3: C4.5 against C4.5+m; two zeros are shared out, T = 12, z = (12 − 52.5) / √253.75 = −2.54."""
    (pair,) = [pair for pair in example.pairs if {pair.a, pair.b} == {"C4.5", "C4.5+m"}]
    assert pair.p == pytest.approx(2 * norm.sf(40.5 / 253.75**0.5), abs=1e-4)
    assert wilcoxon(TABLE_6[:, 1] - TABLE_6[:, 0]) == pytest.approx(pair.p)


def test_wilcoxon_by_hand() -> None:
    assert wilcoxon(np.array([0.1, 0.2, 0.3])) == pytest.approx(0.25)  # 2 of 8 signs
    assert wilcoxon(np.array([0.1, 0.2, 0.3, 0.4, -0.05])) == pytest.approx(4 / 32)  # ranks: only {}, {1} below
    assert wilcoxon(np.array([0.1, 0.1, 0.1])) == pytest.approx(0.25)  # ties
    assert wilcoxon(np.zeros(4)) == 1.0
    assert [least_wilcoxon(n) for n in (3, 6)] == [0.25, 0.03125]


def test_groups_are_the_largest_that_lie_within_the_distance() -> None:
    order = np.arange(6, dtype=float)
    swaps = np.array([np.roll(order, shift) if i % 3 == 0 else order for i, shift in enumerate([1, 0, 0] * 5)])
    test = rank_test("x", named(-swaps), [str(i) for i in range(15)])
    ranks, limit = test.mean_ranks, test.critical_difference
    for group in test.groups:
        assert ranks[group[-1]] - ranks[group[0]] < limit
        later = [name for name in ranks if ranks[name] > ranks[group[-1]]]
        assert not later or ranks[later[0]] - ranks[group[0]] >= limit
    assert len(test.groups) > 1
    assert not any(set(a) < set(b) for a in test.groups for b in test.groups)


def test_three_datasets_can_tell_no_pair() -> None:
    test = rank_test("x", named(np.array([[0.9, 0.5, 0.1]] * 3)), ["a", "b", "c"])
    assert test.f is None  # every set has the same order
    assert test.f_p == 0.0
    assert test.least_p == pytest.approx(0.75)
    assert min(pair.adjusted for pair in test.pairs) == pytest.approx(0.75)
    assert not test.can_tell


def test_equal_values_are_no_difference() -> None:
    test = rank_test("x", named(np.full((5, 3), 0.5)), list("abcde"))
    assert (test.chi2, test.p, test.f_p) == (0.0, 1.0, 1.0)
    assert [pair.p for pair in test.pairs] == [1.0] * 3


def test_the_diagram_shows_names_ranks_and_the_distance(example) -> None:
    svg = diagram(example)
    for text in (*NAMES, "1.96", "3.14", "critical difference 1.25"):
        assert text in svg
    assert svg == diagram(example)  # nothing of the moment in it
    assert svg.count("currentColor") > 10
