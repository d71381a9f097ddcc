"""Which pictures are shown, and how they are coloured."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.report_cases import make_params, written_grid
from zsad.evaluation.report import gallery
from zsad.evaluation.report.gallery import galleries, standings
from zsad.evaluation.report.material import gather
from zsad.evaluation.report.tiles import overlaid
from zsad.inference.stored import Predictions, seed_file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with written_grid(tmp_path_factory.mktemp("grid")):
        yield


def test_a_standing_is_the_share_of_the_other_label_on_the_right_side(
    place: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = gather(make_params()).stored["cops", "retina"]
    left = [i for i, row in enumerate(stored.manifest.test) if row.category == "left"]
    labels = [stored.manifest.test[i].label for i in left]
    scores = np.zeros(len(stored.manifest.test))
    scores[left] = [3.0 if label else float(n) for n, label in enumerate(labels)]
    monkeypatch.setattr(Predictions, "scores", lambda self, seed: scores)
    normal = [scores[i] for i, label in zip(left, labels, strict=True) if not label]
    found = standings(stored)
    for image, label in zip(left, labels, strict=True):
        if label:
            expected = np.mean([(n < 3.0) + 0.5 * (n == 3.0) for n in normal])
        else:
            expected = float(scores[image] < 3.0) + 0.5 * (scores[image] == 3.0)
        assert found[image] == pytest.approx(expected)


def test_best_worst_and_a_false_alarm(place: None) -> None:
    (wood, retina) = galleries(gather(make_params()))
    assert [strip.kind for strip in wood.strips] == ["found best"] * 3 + ["found worst"] * 2 + ["false alarm"]
    means = [np.mean([tile.standing for tile in strip.tiles[1:]]) for strip in retina.strips]
    assert means[0] >= means[3]
    assert "/good/" in retina.strips[-1].path
    assert [tile.title for tile in retina.strips[0].tiles] == [
        "ground truth", "clip_zero", "cops", "cops_paper", "apt_2shot",
    ]  # fmt: skip


def test_a_large_grid_shows_fewer(place: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "MOST_TILES", 20)
    assert [len(one.strips) for one in galleries(gather(make_params()))] == [2, 2]


def test_one_scale_for_all_pictures_of_a_learner() -> None:
    grey = np.full((2, 2, 3), 100, np.uint8)
    low, high = overlaid(grey, np.full((2, 2), 0.2), 0.2, 0.6), overlaid(grey, np.full((2, 2), 0.6), 0.2, 0.6)
    assert (low == grey).all()
    assert (high[..., 0] > high[..., 2]).all()  # red
    assert (overlaid(grey, np.full((2, 2), 0.9), 0.2, 0.6) == high).all()
    assert (overlaid(grey, np.full((2, 2), 0.5), 0.5, 0.5) == grey).all()


def test_predictions_that_were_cut_short_are_told(place: None) -> None:
    path = seed_file(Path("data/predictions/cops/wood"), 0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    material = gather(make_params())
    path.write_bytes(whole)
    assert any("cut short" in line for line in material.absent)
    assert ("cops", "wood") not in material.stored
