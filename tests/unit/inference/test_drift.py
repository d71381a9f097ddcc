"""Whether today's normal pictures fit a calibration."""

import numpy as np
import pytest

from zsad.common.errors import UserError
from zsad.inference.calibration import Calibration, calibrate
from zsad.inference.drift import LEVEL, compare

DRAW = np.random.default_rng(5)


def calibration(n: int = 124, false_alarms: float = 0.05) -> Calibration:
    scores = DRAW.normal(0.4, 0.1, n)
    return calibrate("LINE3", false_alarms, scores, scores, checkpoint_sha256="")


def test_what_fits_is_rarely_called_drifted() -> None:
    calls = [bool(compare(calibration(), DRAW.normal(0.4, 0.1, 60)).reasons) for _ in range(200)]
    assert np.sum(calls) <= 200 * LEVEL + 3 * np.sqrt(200 * LEVEL)


def test_more_alarms_are_seen_though_most_scores_are_as_before() -> None:
    today = DRAW.normal(0.4, 0.1, 60)
    today[:16] = 0.9
    drift = compare(calibration(), today)
    assert drift.alarms >= 16 > drift.most_alarms
    assert drift.reasons[0] == f"{drift.alarms} alarms of 60"
    assert drift.told[-1] == "verdict: drifted"


def test_a_shift_is_seen_that_raises_no_alarm() -> None:
    drift = compare(calibration(), DRAW.normal(0.25, 0.05, 60))
    assert drift.alarms == 0
    assert drift.reasons == ["scores are distributed otherwise, in the median lower"]


def test_the_line_for_people_is_where_the_p_value_is() -> None:
    one = calibration()
    for extra in (0, 1):
        most = compare(one, np.full(60, 0.4)).most_alarms
        found = compare(one, np.concatenate([np.full(most + extra, 2.0), np.full(60 - most - extra, 0.4)]))
        assert (found.alarms_p < LEVEL / 2) == bool(extra)


def test_its_own_pictures_are_no_check() -> None:
    one = calibration()
    drift = compare(one, np.array(one.scores))
    assert "124 of them have a score of the calibration: its own pictures tell nothing" in drift.told
    assert not any("tell nothing" in line for line in compare(one, DRAW.normal(0.4, 0.1, 60)).told)


def test_too_few_to_tell() -> None:
    one = calibration(9, 0.1)
    with pytest.raises(UserError, match="3 pictures: too few to say whether 9 of a calibration"):
        compare(one, np.full(3, 5.0))
    assert compare(one, np.full(4, 5.0)).reasons
