"""Predictions of ensembles against full maps averaged by hand, and what cannot be averaged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.predictions import prediction_info
from zsad.common.errors import UserError
from zsad.common.io import read_json
from zsad.config.params import Params
from zsad.evaluation.category import image_scores
from zsad.inference.combine import combine
from zsad.inference.ensemble import EnsemblePredictions, have_predictions, predictions_of
from zsad.inference.maps import full_map
from zsad.inference.stored import (
    PREDICTIONS,
    Predictions,
    PredictionWriter,
    seed_file,
    write_not_applicable,
)

INFO = prediction_info(seeds=[0, 1], n_images=3, grid=(4, 4), upsample="nearest", sigma=0.02)
FLOOR: dict[str, Any] = {"source": None, "seeds": [0], "grid": (5, 3), "upsample": "bilinear", "sigma": 0.0}
SHOTS: dict[str, Any] = {"source": None, "shots": 2, "grid": (12, 12), "upsample": "bilinear_corners"}
SIZE = (12, 10)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(learner: str, **changes: Any) -> Predictions:
    info = replace(INFO, learner=learner, **changes)
    directory = PREDICTIONS / learner / info.dataset
    with PredictionWriter(directory, info) as writer:
        for seed in info.seeds:
            random = np.random.default_rng([seed, *learner.encode()])
            writer.write(seed, 0, random.random(info.n_images), random.normal(0, 3, (info.n_images, *info.grid)))
    return Predictions.open(directory)


def of(members: list[str], weights: list[float] | None = None) -> EnsemblePredictions:
    params = Params.model_validate(
        {
            "seeds": [0, 1],
            "backbones": {"default": {"name": "any", "pretrained": "any", "image_size": 48}},
            "sources": {"aux": {}},
            "datasets": {"toy": {"path": "x"}},
            "learners": {"cops": {}, "floor": {}, "other": {}},
            "few_shot": {"memory": {"shots": 2}},
            "ensembles": {"both": {"of": members, **({"weights": weights} if weights else {})}},
            "gate": {"cell": {}, "mean": {}},
        }
    )
    combine(params, "both")
    found = predictions_of("both", "toy")
    assert isinstance(found, EnsemblePredictions)
    return found


def reference(
    seeds: list[tuple[Predictions, int]], weights: list[float], read: Callable[[Predictions, int], Any]
) -> Any:
    return sum(w * read(one, seed) for w, (one, seed) in zip(weights, seeds, strict=True)) / sum(weights)


def own_map(image: int) -> Callable[[Predictions, int], Any]:
    def read(one: Predictions, seed: int) -> Any:
        return full_map(one.map_codes(seed, image), SIZE, one.info.upsample, one.info.sigma)  # type: ignore[arg-type]

    return read


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [3.0, 0.5, 1.0]])
def test_it_is_the_mean_of_finished_maps_and_scores_whatever_the_grids(weights: list[float]) -> None:
    """What is not trained has one seed, which stands beside every seed of the others."""
    cops, floor, memory = write("cops"), write("floor", **FLOOR), write("memory", **SHOTS)
    found = of(["cops", "floor", "memory"], weights)
    assert found.info.seeds == [0, 1]
    for seed in (0, 1):
        seeds = [(cops, seed), (floor, 0), (memory, seed)]
        np.testing.assert_allclose(found.scores(seed), reference(seeds, weights, Predictions.scores), atol=1e-15)
        for image in range(3):
            expected = reference(seeds, weights, own_map(image))
            np.testing.assert_allclose(found.full_map(seed, image, SIZE), expected, atol=1e-15)


def test_image_scores_are_those_by_which_members_are_scored() -> None:
    cops, paper = write("cops"), write("other", protocol="paper", image_top={"": 0.3})
    found = of(["cops", "other"])
    images = [0, 1, 2]
    expected = (image_scores(cops, 1, "cup", images) + image_scores(paper, 1, "cup", images)) / 2
    np.testing.assert_allclose(image_scores(found, 1, "cup", images), expected, atol=1e-15)
    assert found.fuses_maps
    assert found.info.protocol == "paper"


def test_it_says_what_it_is_of_and_from() -> None:
    write("cops")
    write("memory", **SHOTS, left_out={"cup": "1 picture, 2 needed"})
    info = of(["cops", "memory"]).info
    assert (info.learner, info.method, info.protocol, info.source, info.shots) == (
        "both",
        "ensemble",
        "strict",
        "aux",
        2,
    )
    assert info.left_out == {"cup": "1 picture, 2 needed"}
    assert (info.dataset, info.domain, info.n_images, info.dataset_hash) == ("toy", "toys", 3, "h")
    write("other", source="aux2")
    assert of(["cops", "other"]).info.source == "aux, aux2"


def test_hashes_follow_members_and_weights() -> None:
    write("cops")
    write("floor", **FLOOR)
    first, weighted = of(["cops", "floor"]), of(["cops", "floor"], [2.0, 1.0])
    assert first.hash != weighted.hash
    assert first.info.config_hash != weighted.info.config_hash
    write("floor", **{**FLOOR, "seeds": [7]})
    assert predictions_of("both", "toy").hash not in (first.hash, weighted.hash)


def test_what_dvc_watches_changes_with_members_predictions_only() -> None:
    write("cops")
    write("floor", **FLOOR)
    of(["cops", "floor"])
    told = read_json(Path("data/ensembles/both/toy.json"))
    write("other")
    of(["cops", "floor"])
    assert read_json(Path("data/ensembles/both/toy.json")) == told
    write("floor", **{**FLOOR, "grid": (3, 3)})
    of(["cops", "floor"])
    assert read_json(Path("data/ensembles/both/toy.json")) != told


def test_where_a_member_has_no_meaning_it_has_none() -> None:
    write("floor", **FLOOR)
    reason = "cops is trained on toy"
    write_not_applicable(PREDICTIONS / "cops/toy", replace(INFO, seeds=[], grid=(0, 0), reason=reason))
    found = of(["cops", "floor"])
    assert (found.info.reason, found.info.seeds) == (reason, [])


@pytest.mark.parametrize("change", [{"dataset_hash": "older"}, {"n_images": 2}])
def test_predictions_of_other_pictures_are_refused(change: dict[str, Any]) -> None:
    write("cops")
    write("other", **change)
    with pytest.raises(UserError, match=r"both/toy.json: cops and other were predicted on other images of toy; run"):
        of(["cops", "other"])


def test_seeds_that_all_members_have_count_and_there_must_be_one() -> None:
    write("cops", seeds=[0, 1, 2])
    write("other", seeds=[1, 2, 3])
    assert of(["cops", "other"]).info.seeds == [1, 2]
    write("other", seeds=[4, 5])
    with pytest.raises(UserError, match=r"share no seed \(cops 0, 1, 2; other 4, 5\)"):
        of(["cops", "other"])


def test_predictions_that_are_missing_or_damaged_are_named() -> None:
    write("cops")
    with pytest.raises(UserError, match=r"data/predictions/floor/toy/prediction.json: not found"):
        of(["cops", "floor"])
    write("floor", **FLOOR)
    of(["cops", "floor"])
    assert have_predictions("both", "toy")
    seed_file(PREDICTIONS / "floor/toy", 0).write_bytes(b"x")
    with pytest.raises(UserError, match="cut short"):
        predictions_of("both", "toy")
    (PREDICTIONS / "floor/toy/prediction.json").unlink()
    assert not have_predictions("both", "toy")


def test_a_key_that_was_a_configuration_before_is_no_guess() -> None:
    write("cops")
    write("floor", **FLOOR)
    of(["cops", "floor"])
    write("both")
    with pytest.raises(UserError, match=r"zsad leftovers --remove"):
        predictions_of("both", "toy")


def test_a_configuration_is_no_ensemble() -> None:
    write("cops")
    assert isinstance(predictions_of("cops", "toy"), Predictions)
