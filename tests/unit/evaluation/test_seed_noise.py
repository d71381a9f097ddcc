"""The statistic of the gate: moderated variances against closed forms, p values, and cases without noise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import polygamma

from zsad.evaluation.seed_noise import (
    LEAST_SD,
    drop_probability,
    fit_prior,
    holm,
    inverse_trigamma,
    moderate,
    pooled_variance,
)

FOUR = np.full(2, 4.0)
TRIGAMMA_OF_2 = math.pi**2 / 6 - 1


def test_pooled_variance_is_that_of_students_t() -> None:
    before, after = (0.81, 0.78, 0.86), (0.7, 0.74)
    t = stats.ttest_ind(before, after, equal_var=True).statistic
    assert pooled_variance(before, after) * (1 / 3 + 1 / 2) == pytest.approx(
        ((np.mean(before) - np.mean(after)) / t) ** 2
    )


@pytest.mark.parametrize(("y", "value"), [(1, math.pi**2 / 6), (2, TRIGAMMA_OF_2), (0.5, math.pi**2 / 2)])
def test_inverse_trigamma_at_known_points(y: float, value: float) -> None:
    assert inverse_trigamma(value) == pytest.approx(y, rel=1e-9)


@given(st.floats(1e-7, 1e7))
def test_inverse_trigamma_inverts(y: float) -> None:
    assert inverse_trigamma(float(polygamma(1, y))) == pytest.approx(y, rel=1e-6)


@pytest.mark.parametrize(("excess", "prior_df"), [(TRIGAMMA_OF_2, 4), (math.pi**2 / 6, 2), (math.pi**2 / 2, 1)])
def test_moments_match_closed_forms(excess: float, prior_df: float) -> None:
    """Two variances e^±a on 4 degrees of freedom: log variances spread by 2a², of which trigamma(2) is sampling."""
    a = math.sqrt((TRIGAMMA_OF_2 + excess) / 2)
    prior = fit_prior(np.exp([a, -a]), FOUR)
    # ψ(2) = 1 − γ; ψ(1) = −γ; ψ(1/2) = −γ − 2 log 2
    digamma = {4: 1 - np.euler_gamma, 2: -np.euler_gamma, 1: -np.euler_gamma - 2 * math.log(2)}
    location = -digamma[4] + math.log(2) + digamma[int(prior_df)] - math.log(prior_df / 2)
    assert prior == pytest.approx((prior_df, math.exp(location)), rel=1e-9)


def test_the_prior_of_many_draws_is_found() -> None:
    rng = np.random.default_rng(0)
    truth = 0.02**2 * 5 / rng.chisquare(5, 20_000)
    prior = fit_prior(truth * rng.chisquare(4, 20_000) / 4, np.full(20_000, 4.0))
    assert prior.df == pytest.approx(5, rel=0.06)
    assert prior.variance == pytest.approx(0.02**2, rel=0.02)


def test_without_excess_spread_there_is_one_variance() -> None:
    assert fit_prior(np.array([0.9, 1.1]), FOUR) == (math.inf, 1.0)
    variances, df = moderate(np.array([0.01, 0.011, 0.012, 0.011]), np.full(4, 4.0))
    assert df.max() <= 16  # all seeds together have no more
    assert variances[0] == pytest.approx(0.011, rel=0.02)


def test_one_noisy_number_among_quiet_ones_keeps_all_its_noise() -> None:
    """The method as published takes these for draws of one variance, and calls the noisy one quieter than it is."""
    own = np.array([*[0.035**2] * 20, 0.18**2])
    assert math.isinf(fit_prior(own, np.full(21, 4.0)).df)
    assert moderate(own, np.full(21, 4.0))[0][-1] == own[-1]


def test_moderation_makes_nothing_quieter_than_its_seeds_and_lifts_what_is_too_quiet() -> None:
    own = np.array([0.18, 0.03, 0.02, 0.001, 0.04]) ** 2
    variances, df = moderate(own, np.full(5, 4.0))
    assert (variances >= own).all()
    assert variances[0] == own[0]
    assert variances[3] > own[3]
    assert (df > 4).all()


def test_a_single_number_is_judged_by_its_own_seeds() -> None:
    variances, df = moderate(np.array([0.02**2]), np.array([4.0]))
    assert (variances[0], df[0]) == (pytest.approx(0.02**2), 4)


def test_seeds_that_agree_by_chance_do_not_spoil_what_is_usual() -> None:
    own = np.array([0.02, 0.021, 0.022, 0.02]) ** 2
    variances, df = moderate(np.append(own, 1e-14), np.full(5, 4.0))
    assert np.isfinite(variances).all()
    assert (variances >= LEAST_SD**2).all()
    assert (df > 4).all()


def test_p_is_one_sided_students() -> None:
    before, after = np.array([0.81, 0.78, 0.86]), np.array([0.7, 0.74, 0.71])
    error = math.sqrt(pooled_variance(before.tolist(), after.tolist()) * 2 / 3)
    drop = before.mean() - after.mean()
    p = drop_probability(*np.array([[drop, -drop], [error, error], [4, 4]]))
    expected = stats.ttest_ind(before, after, alternative="greater").pvalue
    assert p == pytest.approx([expected, 1 - expected])


def test_holm_by_hand() -> None:
    assert holm(np.array([0.04, 0.01, 0.5, 0.03])) == pytest.approx([0.09, 0.04, 0.5, 0.09])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])


def test_weighted_holm_by_hand() -> None:
    """α is parted ½, ¼, ¼; the first is rejected at 0.02 · 1 / ½, and leaves its half to the other two."""
    assert holm(np.array([0.02, 0.03, 0.5]), np.array([2.0, 1.0, 1.0])) == pytest.approx([0.04, 0.06, 0.5])
    assert holm(np.array([0.02, 0.03, 0.5]), np.array([0.5, 0.25, 0.25])) == pytest.approx([0.04, 0.06, 0.5])
