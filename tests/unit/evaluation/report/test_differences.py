"""Differences of learners: how large their uncertainty is, and what it is based on."""

import numpy as np
import pytest
from scipy.stats import t

from tests.helpers.report_cases import make_cell
from zsad.evaluation.report.differences import NOTHING, ONE_SEED, PAIRED, SEEDS, UNPAIRED, Ranking, rank
from zsad.evaluation.report.material import Track

METRIC = "image_auroc"


def track(a: float, b: float, **settings: float | None) -> Track:
    return Track(0, [make_cell("a", "wood", a, **settings), make_cell("b", "wood", b, **settings)])


def ranked(cells: Track, draws: dict | None = None, datasets: tuple[str, ...] = ("wood",)) -> Ranking:
    found = rank(cells, METRIC, datasets, draws or {})
    assert found is not None
    return found


def test_the_best_comes_first() -> None:
    found = ranked(track(0.6, 0.8))
    assert (found.best, list(found.means.values())) == ("b", [0.8, 0.6])
    assert found.ahead[0].value == pytest.approx(0.2)


def test_pictures_and_seeds_add_up() -> None:
    (ahead,) = ranked(track(0.8, 0.7, sd=0.03, se=0.04)).ahead
    seeds = 2 * 0.03**2 / 3
    total = 2 * 0.04**2 + seeds
    df = total**2 / (2 * (0.03**2 / 3) ** 2 / 2)
    half = t.ppf(0.975, df) * total**0.5
    assert (ahead.low, ahead.high) == (pytest.approx(0.1 - half), pytest.approx(0.1 + half))
    assert ahead.by == UNPAIRED


def test_draws_that_move_together_make_it_sure() -> None:
    common = np.random.default_rng(0).normal(0, 0.05, 1001)
    draws = {(name, "wood"): {METRIC: value + common} for name, value in (("a", 0.8), ("b", 0.77))}
    paired, unpaired = ranked(track(0.8, 0.77, se=0.05), draws).ahead[0], ranked(track(0.8, 0.77, se=0.05)).ahead[0]
    assert (paired.by, paired.is_sure) == (PAIRED, True)
    assert not unpaired.is_sure


def test_the_more_learners_the_wider() -> None:
    two = ranked(track(0.8, 0.7))
    more = ranked(Track(0, [*track(0.8, 0.7).scored, make_cell("c", "wood", 0.65), make_cell("d", "wood", 0.6)]))
    assert more.ahead[0].low < two.ahead[0].low  # type: ignore[operator]
    assert [difference.other for difference in more.ahead] == ["b", "c", "d"]


def test_what_is_not_known_is_told() -> None:
    assert ranked(track(0.8, 0.7, se=None)).ahead[0].by == SEEDS
    one_seed = track(0.8, 0.7)
    for cell in one_seed.scored:
        cell["per_seed"] = {"0": cell["per_seed"]["1"]}
    assert ranked(one_seed).ahead[0].by == ONE_SEED
    for cell in one_seed.scored:
        cell["source"] = None  # untrained: no seed would change it
    assert ranked(one_seed).ahead[0].by == UNPAIRED
    for cell in one_seed.scored:
        cell["se"] = {}
    (ahead,) = ranked(one_seed).ahead
    assert (ahead.by, ahead.low, ahead.is_sure) == (NOTHING, None, False)


def test_only_datasets_that_all_share_are_compared() -> None:
    cells = [*track(0.8, 0.7).scored, make_cell("a", "steel", 0.1)]
    assert ranked(Track(0, cells), datasets=("wood", "steel")).datasets == ["wood"]
    assert rank(Track(0, cells), METRIC, ("steel",), {}) is None
    assert rank(Track(0, cells[:1]), METRIC, ("wood",), {}) is None
