"""A calibration: labels, percentiles, as text and back, and which model it is for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zsad
from tests.helpers.models import noise, save
from zsad.common.errors import UserError
from zsad.common.io import canonical_json, file_sha256
from zsad.inference.calibration import (
    Calibration,
    beside,
    calibrate,
    read_calibration,
    write_calibration,
)

__all__ = ["save"]  # the fixture, by which pytest finds it

SCORES = [0.3, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.7, 0.9]


def made(scores: Any = SCORES, false_alarms: float = 0.2, **told: Any) -> Calibration:
    return calibrate("LINE3", false_alarms, scores, scores, **{"checkpoint_sha256": "abc", **told})


def test_a_score_that_equals_the_threshold_is_no_alarm() -> None:
    one = made()
    assert (one.n, one.rank, one.threshold) == (9, 8, 0.7)
    assert [one.label(score) for score in (0.69, 0.7, np.nextafter(0.7, 1), 1.0)] == [0, 0, 1, 1]
    assert [one.percentile(score) for score in (0.05, 0.1, 0.7, 0.95)] == pytest.approx([0, 100 / 9, 800 / 9, 100])


def test_scores_and_map_values_each_have_their_own_threshold() -> None:
    one = calibrate("LINE3", 0.2, SCORES, [1 - score for score in SCORES], checkpoint_sha256="abc")
    assert one.threshold == 0.7
    assert one.pixel_threshold == pytest.approx(0.8)


@pytest.mark.parametrize("told", [{}, {"category": "cork", "prompt_name": "cork"}])
def test_as_text_and_back(told: dict[str, str], tmp_path: Path) -> None:
    one = made(np.random.default_rng(0).random(50), **told)
    assert Calibration.from_dict(json.loads(canonical_json(one.as_dict()))) == one
    path = beside(tmp_path / "seed_0.safetensors", "LINE3")
    assert path.name == "seed_0.LINE3.calibration.json"
    write_calibration(path, one)
    assert read_calibration(path) == one
    assert read_calibration(path).interval() == one.interval()


def test_of_very_many_pictures_evenly_spaced_ranks_are_kept() -> None:
    scores = np.random.default_rng(0).random(20_000) ** 3
    one = made(scores, 0.001)
    assert one.n == 20_000
    assert np.sum(scores > one.threshold) == 20_000 - one.rank == 19
    assert (one.scores[0], one.scores[-1]) == (scores.min(), scores.max())
    for score in np.random.default_rng(1).random(500) ** 3:
        assert one.percentile(score) == pytest.approx(100 * np.mean(scores <= score), abs=0.1)
    text = canonical_json(one.as_dict())
    assert len(text) < 65_535  # TEXT of MySQL; MLflow itself takes 100,000
    assert Calibration.from_dict(json.loads(text)) == one


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"threshold": 0.65},
        {"threshold": "high"},
        {"false_alarms": 0.01},
        {"scores": [0.2, 0.1, *SCORES]},
        {"scores": []},
        {"scores": None},
        {"pixel_threshold": None},
        {"checkpoint_sha256": None},
        {"category": 3},
        {"surprise": 1},
    ],
)
def test_what_was_edited_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**made().as_dict(), **change}))
    with pytest.raises(UserError, match=r"x\.json: not a calibration .* run `zsad calibrate` again"):
        read_calibration(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_what_is_no_calibration_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"x\.json: not a calibration"):
        read_calibration(tmp_path / "x.json")
    with pytest.raises(UserError, match=r"y\.json: no such file"):
        read_calibration(tmp_path / "y.json")


@pytest.mark.parametrize("name", ["", "line 3", "../x", "a.b", "x" * 65, "ä"])
def test_a_name_fits_into_a_file_name_and_a_tag(name: str) -> None:
    with pytest.raises(UserError, match="letters, digits, _ and - only"):
        calibrate(name, 0.2, SCORES, SCORES, checkpoint_sha256="")


def test_a_model_with_a_calibration_says_what_is_anomalous(save: Callable[..., Path]) -> None:
    path = save()
    plain, picture = zsad.load(path, "cpu"), noise(40, 30)
    score = plain.predict(picture).score
    around = np.linspace(score - 0.08, score + 0.01, 10)
    for by, label in ((-0.02, 1), (0.02, 0)):
        one = made(around + by, checkpoint_sha256=file_sha256(path))
        result = plain.calibrated(one).predict(picture)
        assert (result.label, result.threshold) == (label, one.threshold)
        assert result.percentile == one.percentile(score)
        assert result.score == score
    unchanged = plain.predict(picture)
    assert (unchanged.label, unchanged.threshold, unchanged.percentile) == (None, None, None)


def test_a_calibration_is_of_one_model(save: Callable[..., Path]) -> None:
    path = save()
    with pytest.raises(UserError, match=r"calibration LINE3: made for checkpoint abc, and the model is \w{12}"):
        zsad.load(path, "cpu").calibrated(made())
    write_calibration(beside(path, "LINE3"), made())
    with pytest.raises(UserError, match="calibration LINE3: made for checkpoint abc"):
        zsad.load(path, "cpu", calibration="LINE3")
    with pytest.raises(UserError, match=r"calibration LINE4: not of model\.safetensors, which has: LINE3"):
        zsad.load(path, "cpu", calibration="LINE4")
    write_calibration(beside(path, "LINE4"), replace(made(), name="LINE4", checkpoint_sha256=file_sha256(path)))
    assert zsad.load(path, "cpu", calibration="LINE4").predict(noise(8, 8)).threshold == 0.7


def test_a_calibration_is_of_what_the_model_was_told(save: Callable[..., Path]) -> None:
    path = save(method="clip_zero")
    model, picture = zsad.load(path, "cpu"), noise(40, 30)
    nut = model.calibrated(made(prompt_name="nut", checkpoint_sha256=file_sha256(path)))
    assert nut.predict(picture).score == nut.predict(picture, prompt_name="nut").score
    assert nut.predict(picture).score == model.predict(picture, prompt_name="nut").score != model.predict(picture).score
    with pytest.raises(UserError, match="prompt_name 'bolt': calibration LINE3 was made with 'nut'"):
        nut.predict(picture, prompt_name="bolt")
    with pytest.raises(UserError, match="prompt_name 'nut': calibration LINE3 was made with 'object'"):
        model.calibrated(made(checkpoint_sha256=file_sha256(path))).predict(picture, prompt_name="nut")
    write_calibration(beside(path, "LINE3"), made(checkpoint_sha256=file_sha256(path)))
    with pytest.raises(UserError, match="states: calibration LINE3 was made with the model's own words"):
        zsad.load(path, "cpu", states={"normal": ["new {}"]}, calibration="LINE3")


def test_a_calibration_is_of_one_category(save: Callable[..., Path]) -> None:
    learner = zsad.load(save(), "cpu").learners[""]
    model = zsad.Predictor({"nut": learner, "cup": learner}, {"nut": "metal nut"}, "abc")
    nut = model.calibrated(made(category="nut"))
    assert nut.category(None) == nut.category("nut") == "nut"
    assert nut.predict(noise(8, 8)).threshold == 0.7
    with pytest.raises(UserError, match="category 'cup': calibration LINE3 is of 'nut'"):
        nut.predict(noise(8, 8), category="cup")
    with pytest.raises(UserError, match="name the pictures' own"):
        model.predict(noise(8, 8))
