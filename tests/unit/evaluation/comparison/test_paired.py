"""The paired bootstrap against analytic standard errors, and what seeds add."""

import math

import numpy as np
import pytest

from zsad.evaluation.category import Category
from zsad.evaluation.comparison.delong import delong, placements
from zsad.evaluation.comparison.paired import Difference, Side, difference
from zsad.evaluation.metrics.bootstrap import draw_pictures, image_draws, mean_draws
from zsad.evaluation.metrics.image import image_metrics

LABELS = np.array([0, 1] * 40)
METRIC = "image_auroc"


def side(scores: list[np.ndarray], *, chance: bool = True, name: str = "cup", draws: int = 1000) -> Side:
    """One category; an array of scores for each seed."""
    labels = LABELS
    times = draw_pictures(labels, name, draws)
    drawn = mean_draws([image_draws(each, labels, times)[METRIC] for each in scores])
    per_seed = {seed: image_metrics(each, labels) for seed, each in enumerate(scores)}
    return Side({name: Category(list(range(len(labels))), per_seed, {}, {METRIC: drawn})}, chance)


def scores(rng: np.random.Generator, strength: float, shared: np.ndarray | float = 0.0) -> np.ndarray:
    return rng.normal(0, 1, len(LABELS)) + strength * LABELS + shared


def compared(*datasets: tuple[Side, Side]) -> Difference:
    found = difference(METRIC, datasets)
    assert found is not None
    return found


def test_as_delong_says_of_the_same_pictures() -> None:
    """Pairing matters: with common noise the difference varies far less than two AUROCs would."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 2, len(LABELS))
    a, b = scores(rng, 2.5, common), scores(rng, 1.5, common)
    found = compared((side([a], chance=False), side([b], chance=False)))
    exact = delong(placements([a], LABELS), placements([b], LABELS))
    assert found.difference == pytest.approx(exact.difference)
    assert found.pictures.se == pytest.approx(exact.se, rel=0.1)
    low, high = found.pictures.interval
    assert (high - low) / 2 == pytest.approx(1.96 * exact.se, rel=0.1)
    assert found.pictures.p == pytest.approx(exact.p, abs=0.02)


def test_categories_and_datasets_average_out() -> None:
    rng = np.random.default_rng(1)
    cells, exact = [], []
    for name in ("a", "b", "c", "d"):
        a, b = scores(rng, 1.2), scores(rng, 1.0)
        cells.append((side([a], chance=False, name=name), side([b], chance=False, name=name)))
        exact.append(delong(placements([a], LABELS), placements([b], LABELS)))
    found = compared(*cells)
    assert found.difference == pytest.approx(np.mean([one.difference for one in exact]))
    assert found.pictures.se == pytest.approx(math.sqrt(sum(one.se**2 for one in exact)) / 4, rel=0.1)


def test_the_same_predictions_are_no_difference() -> None:
    a = scores(np.random.default_rng(2), 1.0)
    found = compared((side([a]), side([a * 3])))
    assert (found.difference, found.pictures.se, found.pictures.p) == (0, 0, 1.0)


def test_a_sure_difference_is_not_held_back_by_the_number_of_draws() -> None:
    rng = np.random.default_rng(3)
    found = compared((side([scores(rng, 4.0)], chance=False), side([scores(rng, 0.0)], chance=False)))
    assert found.judged.p < 1e-4


def test_what_the_seeds_add() -> None:
    rng = np.random.default_rng(4)
    a, b = [scores(rng, s) for s in (0.2, 1.0, 1.8)], [scores(rng, 1.0) for _ in range(3)]
    found = compared((side(a), side(b)))
    values = [np.array([image_metrics(one, LABELS)[METRIC] for one in each]) for each in (a, b)]
    added = sum(each.var(ddof=1) / 3 for each in values)
    assert found.seeds_se == pytest.approx(math.sqrt(added))
    assert found.both is not None
    assert found.both.se == pytest.approx(math.hypot(found.pictures.se, found.seeds_se))
    assert found.both.p > found.pictures.p
    half = (found.both.interval[1] - found.both.interval[0]) / 2
    assert half > 1.96 * found.both.se  # few seeds: Student's t
    assert found.judged is found.both


def test_one_seed_of_a_trained_learner_is_unknown_and_of_an_untrained_one_nothing() -> None:
    rng = np.random.default_rng(5)
    one, several = [scores(rng, 1.0)], [scores(rng, 1.0) for _ in range(3)]
    trained = compared((side(one), side(several)))
    assert (trained.seeds_se, trained.both) == (None, None)
    assert trained.judged is trained.pictures
    untrained = compared((side(one, chance=False), side(several)))
    assert untrained.seeds_se > 0
    neither = compared((side(one, chance=False), side(one, chance=False)))
    assert neither.seeds_se == 0
    assert neither.both == neither.pictures


def test_only_categories_that_both_have_are_compared() -> None:
    rng = np.random.default_rng(6)
    cup, nut = side([scores(rng, 1.0)]), side([scores(rng, 1.0)], name="nut")
    both = Side({**cup.categories, **nut.categories}, chance=True)
    assert compared((both, cup)).difference == pytest.approx(0)
    assert difference(METRIC, [(cup, nut)]) is None
    without = Category([0], {0: {METRIC: None}})  # of a few-shot configuration that could not be adapted to it
    for a, b in ((both, Side({**cup.categories, "nut": without}, chance=True)), (both, cup)):
        assert compared((a, b)).difference == pytest.approx(0)
        assert compared((b, a)).difference == pytest.approx(0)


def test_the_coarser_bins_of_the_draws_move_nothing() -> None:
    """Draws are by fewer bins than values, so draw 0 need not be the value: all draws move by what it is off."""
    a, b = (scores(np.random.default_rng(seed), 1.0) for seed in (10, 11))
    exact, coarse = ((side([a]), side([b])) for _ in range(2))
    coarse[0].categories["cup"].draws[METRIC][:] += 0.02
    assert compared(coarse).pictures.interval == pytest.approx(compared(exact).pictures.interval)
    assert compared(coarse).pictures.p == compared(exact).pictures.p


def test_draws_that_leave_a_metric_without_meaning_are_left_out() -> None:
    a = side([scores(np.random.default_rng(7), 1.0)])
    b = side([scores(np.random.default_rng(8), 1.0)])
    b.categories["cup"].draws[METRIC][5:50] = np.nan
    assert math.isfinite(compared((a, b)).pictures.se)


def test_intervals_cover_as_often_as_they_claim() -> None:
    """True difference 0; the normal pictures and the anomalous ones are new in each trial."""
    rng = np.random.default_rng(9)
    found = []
    for _ in range(60):
        a, b = (side([scores(rng, 1)], chance=False, draws=200) for _ in range(2))
        found.append(compared((a, b)).pictures.interval)
    inside = np.mean([low <= 0 <= high for low, high in found])
    assert inside >= 0.85
