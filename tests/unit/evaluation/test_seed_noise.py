"""What seeds explain: the moderated variances against their definition, false alarms and power of whole verdicts."""

import copy

import numpy as np
import pytest
from scipy.special import polygamma
from scipy.stats import f, ttest_ind

from tests.helpers.gate_cases import make_cell
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import Change, compare
from zsad.evaluation.seed_noise import drop_probability, fit_prior, holm, inverse_trigamma, moderate, pooled_variance

LEARNERS, DATASETS, SEEDS = [f"learner_{i}" for i in range(8)], ["wood", "steel", "brain"], ["0", "1", "2"]
CELL, MEAN = dict.fromkeys(METRICS, 0.02), dict.fromkeys(METRICS, 0.01)


@pytest.mark.parametrize("value", [1e-6, 0.01, 0.5, 3.0, 1e4, 1e12])
def test_trigamma_is_inverted(value: float) -> None:
    assert float(polygamma(1, inverse_trigamma(value))) == pytest.approx(value, rel=1e-4)


def test_a_prior_is_recovered_from_variances_that_follow_it() -> None:
    """Sample variances on d degrees of freedom whose true ones are s0²·d0/χ²(d0) are s0² times F(d, d0)."""
    drawn = 0.02 * f.rvs(4, 8, size=20000, random_state=1)
    prior = fit_prior(drawn, np.full(20000, 4.0))
    assert prior.df == pytest.approx(8, rel=0.1)
    assert prior.variance == pytest.approx(0.02, rel=0.05)


def test_one_variance_for_all_is_seen() -> None:
    drawn = 0.5 * np.random.default_rng(0).chisquare(4, 200) / 4
    drawn = np.sort(drawn)[50:150]  # nearer together than χ² would have them
    assert np.isinf(fit_prior(drawn, np.full(100, 4.0)).df)


def test_alone_it_is_the_pooled_t_test() -> None:
    before, after = (0.81, 0.86, 0.78), (0.70, 0.74, 0.71)
    variances, df = moderate(np.array([pooled_variance(before, after)]), np.array([4.0]))
    p = drop_probability(np.array([np.mean(before) - np.mean(after)]), np.sqrt(variances * 2 / 3), df)
    assert p[0] == pytest.approx(ttest_ind(before, after, alternative="greater").pvalue)


def test_quiet_numbers_are_drawn_towards_the_usual_and_noisy_ones_keep_their_noise() -> None:
    own = np.array([1e-6, 4e-4, 5e-4, 6e-4, 4e-3])
    variances, df = moderate(own, np.full(5, 4.0))
    assert (variances >= own).all()
    assert variances[0] > 10 * own[0]
    assert (df > 4).all()


def test_holm_by_hand() -> None:
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])


def draw(generator: np.random.Generator, sd: np.ndarray) -> dict:
    """Cells of one training: metrics of a cell move together, every cell of a configuration has its own spread."""
    cells = {}
    for i, learner in enumerate(LEARNERS):
        for j, dataset in enumerate(DATASETS):
            shared = generator.standard_normal((3, 1))
            values = 0.8 + sd[i, j] * (0.7 * shared + 0.7 * generator.standard_normal((3, 7)))
            cell = make_cell(learner, dataset)
            cell["seeds"] = [0, 1, 2]
            cell["per_seed"] = {
                seed: dict(zip(METRICS, row.tolist(), strict=True)) for seed, row in zip(SEEDS, values, strict=True)
            }
            cell["mean"] = dict(zip(METRICS, values.mean(0).tolist(), strict=True))
            cells[learner, dataset] = cell
    return cells


def spreads(generator: np.random.Generator) -> np.ndarray:
    return np.exp(generator.uniform(np.log(0.002), np.log(0.06), (8, 3)))


def verdict(before: dict, after: dict) -> list[Change]:
    return [change for change in compare(before, after, CELL, MEAN) if change.regressed]


def test_trained_again_it_is_not_called_a_regression() -> None:
    """8 configurations on 3 sets, seven correlated metrics, spreads from 0.002 to 0.06: at most 5 % false alarms."""
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(150):
        sd = spreads(generator)
        alarms += bool(verdict(draw(generator, sd), draw(generator, sd)))
    assert alarms <= 7


def lowered(cells: dict, learner: str, drop: float, datasets: list[str]) -> dict:
    changed = copy.deepcopy(cells)
    for dataset in datasets:
        cell = changed[learner, dataset]
        for values in (cell["mean"], *cell["per_seed"].values()):
            for metric in METRICS:
                values[metric] -= drop
    return changed


def test_a_drop_that_seeds_do_not_explain_is_found() -> None:
    generator = np.random.default_rng(1)
    sd = np.full((8, 3), 0.015)
    before = draw(generator, sd)
    found = verdict(before, lowered(draw(generator, sd), "learner_3", 0.1, ["steel"]))
    assert {(change.learner, change.dataset) for change in found if change.scope == "cell"} == {("learner_3", "steel")}


def test_a_learner_that_lost_everywhere_is_found_by_its_mean() -> None:
    generator = np.random.default_rng(2)
    sd = np.full((8, 3), 0.015)
    before = draw(generator, sd)
    found = verdict(before, lowered(draw(generator, sd), "learner_5", 0.06, DATASETS))
    assert {change.learner for change in found} == {"learner_5"}
    assert "mean" in {change.scope for change in found}


def test_three_points_on_one_cell_without_seeds_are_found_among_noisy_others() -> None:
    generator = np.random.default_rng(3)
    sd = np.full((8, 3), 0.05)
    before, after = draw(generator, sd), draw(generator, sd)
    for cells, value in ((before, 0.70), (after, 0.67)):
        cell = make_cell("clip_zero", "wood", value)
        cell["per_seed"] = {"0": cell["mean"]}
        cells["clip_zero", "wood"] = cell
    found = verdict(before, after)
    assert {change.learner for change in found} == {"clip_zero"}
    assert all(change.p is None for change in found)


def test_what_fell_within_the_spread_is_told_and_passes() -> None:
    generator = np.random.default_rng(4)
    before = draw(generator, np.full((8, 3), 0.05))
    after = lowered(before, "learner_0", 0.03, ["wood"])
    (told,) = [
        c for c in compare(before, after, CELL, MEAN) if c.within_spread and (c.scope, c.metric) == ("cell", METRICS[0])
    ]
    assert told.noise is not None
    assert told.noise > 0.02
    assert told.p is not None
    assert told.p > 0.05
    assert not verdict(before, after)
