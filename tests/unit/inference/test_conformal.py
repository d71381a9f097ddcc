"""Thresholds by false-alarm rate: the rank is exact, and the rates are those that it promises."""

import numpy as np
import pytest
from scipy.stats import beta

from zsad.common.errors import UserError
from zsad.inference.calibration import calibrate
from zsad.inference.conformal import mean_rate, rank, rate_interval

WRITTEN = {
    "0.01": (1, 100),
    "0.05": (1, 20),
    "0.1": (1, 10),
    "0.2": (1, 5),
    "1e-3": (1, 1000),
    "0.15": (3, 20),
    "0.03": (3, 100),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_the_rank_is_that_of_whole_numbers(written: str) -> None:
    """⌈(n + 1)(1 − α)⌉ with α = p/q; the float next to 0.15 is smaller, and would give 18 where n = 19 gives 17."""
    p, q = WRITTEN[written]
    enough = -(-(q - p) // p)
    for n in range(enough, enough + 1200):
        assert rank(n, float(written)) == -(-(n + 1) * (q - p) // q)
    with pytest.raises(UserError, match=rf"{enough - 1} normal pictures: .* needs at least {enough}; add some"):
        rank(enough - 1, float(written))


def test_what_a_refusal_advises_is_accepted() -> None:
    for n in range(1, 300):
        with pytest.raises(UserError, match="or allow") as refused:
            rank(n, 1e-6)
        advised = float(str(refused.value).rpartition(" ")[2])
        assert rank(n, advised) <= n
        assert advised - 1 / (n + 1) <= 1e-3
    with pytest.raises(UserError, match="0 normal pictures: .* add some$"):
        rank(0, 0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 5, float("nan")])
def test_a_share_is_between_none_and_all(share: float) -> None:
    with pytest.raises(UserError, match="false_alarms .* above 0 and below 1"):
        rank(1000, share)
    with pytest.raises(UserError, match="level .* above 0 and below 1"):
        rate_interval(100, 95, share)


def test_the_interval_is_that_of_the_beta_distribution() -> None:
    assert rate_interval(124, 119, 0.95) == pytest.approx(beta(6, 119).interval(0.95))
    assert mean_rate(124, 119) == pytest.approx(beta(6, 119).mean())


@pytest.mark.parametrize(("n", "false_alarms"), [(19, 0.05), (64, 0.1), (99, 0.01), (124, 0.2)])
def test_rates_on_scores_whose_distribution_is_known(n: int, false_alarms: float) -> None:
    """Uniform scores: the rate of a threshold t is 1 − t. A rank one off moves the mean by 12 standard errors."""
    draws = np.random.default_rng(3).random((4000, n))
    calibrations = [calibrate("A", false_alarms, row, row, checkpoint_sha256="") for row in draws]
    rates = 1 - np.array([one.threshold for one in calibrations])
    error = rates.std() / np.sqrt(len(rates))
    assert abs(rates.mean() - calibrations[0].expected) < 4 * error < 4 / (n + 1) / 12
    assert calibrations[0].expected <= false_alarms
    low, high = calibrations[0].interval(0.9)
    assert np.mean((low <= rates) & (rates <= high)) == pytest.approx(0.9, abs=0.02)
