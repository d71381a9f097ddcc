"""DeLong's test against all pairs counted one by one, and against what chance does."""

import numpy as np
import pytest
from scipy.stats import norm

from zsad.evaluation.comparison.delong import combined, delong, placements

LABELS = np.array([0, 1] * 20 + [0] * 15)


def scores_of(rng: np.random.Generator, strength: float = 1.0, digits: int = 1) -> np.ndarray:
    """Rounded, so that there are ties."""
    return np.round(rng.normal(0, 1, len(LABELS)) + strength * LABELS, digits)


def brute_force(scores: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs and their covariance by DeLong's structural components, pair by pair."""
    v10, v01 = [], []
    for each in scores:
        x, y = each[LABELS == 1], each[LABELS == 0]
        psi = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
        v10.append(psi.mean(1))
        v01.append(psi.mean(0))
    s10, s01 = np.cov(v10), np.cov(v01)
    return np.array(v10).mean(1), s10 / (LABELS == 1).sum() + s01 / (LABELS == 0).sum()


def test_as_all_pairs_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    a, b = scores_of(rng, 1.5), scores_of(rng, 0.8)
    found = delong(placements([a], LABELS), placements([b], LABELS))
    auroc, covariance = brute_force([a, b])
    assert [found.a, found.b] == pytest.approx(auroc)
    contrast = np.array([1, -1])
    assert found.se**2 == pytest.approx(contrast @ covariance @ contrast)
    assert found.z == pytest.approx((auroc[0] - auroc[1]) / found.se)
    assert found.p == pytest.approx(2 * norm.sf(abs(found.z)))


def test_seeds_are_averaged() -> None:
    rng = np.random.default_rng(1)
    a, b = ([scores_of(rng) for _ in range(3)] for _ in range(2))
    found = delong(placements(a, LABELS), placements(b, LABELS))
    auroc, covariance = brute_force([*a, *b])
    contrast = np.array([1, 1, 1, -1, -1, -1]) / 3
    assert found.difference == pytest.approx(contrast @ auroc)
    assert found.se**2 == pytest.approx(contrast @ covariance @ contrast)


def test_categories_are_independent_and_weigh_alike() -> None:
    rng = np.random.default_rng(2)
    each = [delong(placements([scores_of(rng)], LABELS), placements([scores_of(rng)], LABELS)) for _ in range(4)]
    whole = combined(each)
    assert whole.difference == pytest.approx(np.mean([one.difference for one in each]))
    assert whole.se**2 == pytest.approx(sum(one.se**2 for one in each) / 16)


def test_false_alarms_are_as_rare_as_claimed() -> None:
    rng = np.random.default_rng(3)
    p = [
        delong(placements([scores_of(rng, digits=9)], LABELS), placements([scores_of(rng, digits=9)], LABELS)).p
        for _ in range(500)
    ]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_without_spread_there_is_no_test() -> None:
    perfect, worst = LABELS.astype(float), -LABELS.astype(float)
    same = delong(placements([perfect], LABELS), placements([perfect * 2], LABELS))
    assert (same.difference, same.z, same.p) == (0, None, 1.0)
    apart = delong(placements([perfect], LABELS), placements([worst], LABELS))
    assert (apart.difference, apart.z, apart.p) == (1, None, None)
