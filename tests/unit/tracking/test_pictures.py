"""Sheets of best and worst pictures: drawn from the cell's own predictions, and only from those."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.gate_predictions import build, predict
from zsad.datasets.manifest import Manifest
from zsad.evaluation.results import Cell, read_cell
from zsad.inference.stored import PREDICTIONS, Predictions
from zsad.tracking.pictures import GAP, LINE, SIDE, _chosen, drawable, write_sheet


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.chdir(tmp_path)
    built = build(tmp_path)
    predict(built)
    return built


@pytest.fixture
def cell(manifest: Manifest) -> Cell:
    return read_cell("cops", "toy")


def test_the_surest_and_the_least_sure_anomalies_and_the_highest_normals_are_shown(manifest: Manifest) -> None:
    scores = Predictions.open(PREDICTIONS / "cops/toy").scores(0)
    chosen = [(title, scores[image], manifest.test[image].label) for title, image in _chosen(scores, manifest.test, {})]
    assert [title for title, _, _ in chosen] == ["found"] * 2 + ["missed"] * 2 + ["false alarm"] * 2
    assert [label for _, _, label in chosen] == [1, 1, 1, 1, 0, 0]
    labels = [row.label for row in manifest.test]
    anomalous = sorted(score for score, label in zip(scores, labels, strict=True) if label)
    normal = sorted(score for score, label in zip(scores, labels, strict=True) if not label)
    assert [score for _, score, _ in chosen] == [*anomalous[:-3:-1], *anomalous[1::-1], *normal[:-3:-1]]


def test_categories_without_a_model_are_not_shown(manifest: Manifest) -> None:
    scores = Predictions.open(PREDICTIONS / "cops/toy").scores(0)
    assert list(_chosen(scores, manifest.test, {"cup": "no normal training pictures"})) == []


def test_a_sheet_is_stored_as_mlflow_stores_logged_images(cell: Cell, tmp_path: Path) -> None:
    assert drawable(cell)
    for _ in range(2):  # the same names again
        write_sheet(cell, tmp_path / "run")
    png, webp = sorted((tmp_path / "run/images").iterdir(), key=lambda path: path.suffix)
    assert png.name.startswith("toy+step+0+timestamp+0+")
    assert webp.name == f"{png.stem}+compressed.webp"
    with Image.open(png) as sheet:
        assert sheet.size == (6 * SIDE + 5 * GAP, 2 * SIDE + GAP + LINE)
    assert png.stat().st_size < 150_000


@pytest.mark.parametrize("lost", ["data/predictions/cops/toy", "data/raw/toy"])
def test_without_predictions_or_pictures_nothing_is_drawn(cell: Cell, lost: str) -> None:
    shutil.rmtree(lost)
    assert not drawable(cell)


def test_predictions_of_other_results_are_not_drawn(cell: Cell) -> None:
    assert not drawable({**cell, "prediction_hash": "other"})
    assert not drawable({**cell, "dataset_hash": "other"})
