"""The score stage on small written data sets: numbers against the exact reference, nulls, bad input."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.predictions import prediction_info
from zsad.common.errors import UserError
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.evaluation.metrics import reference as exact
from zsad.evaluation.metrics.image import image_metrics
from zsad.evaluation.metrics.names import IMAGE_METRICS, METRICS, PIXEL_METRICS
from zsad.evaluation.score import score_cell
from zsad.inference.maps import full_map
from zsad.inference.stored import PredictionInfo, Predictions, PredictionWriter, write_not_applicable

SIDE, GRID = 24, 6
INFO = prediction_info(seeds=[0, 1, 5], n_images=1, grid=(GRID, GRID), upsample="bilinear", sigma=0.02)


def make_params(**metrics: object) -> Params:
    return Params.model_validate(
        {
            "seeds": [0, 1, 5],
            "backbones": {"default": {"name": "embedded", "pretrained": "embedded", "image_size": 48}},
            "sources": {"aux": {}},
            "datasets": {"aux": {"path": "x"}, "toy": {"path": "x"}},
            "learners": {"cops": {}, "cops_paper": {"method": "cops", "protocol": "paper"}},
            "metrics": metrics,
            "gate": {"cell": {}, "mean": {}},
        }
    )


def make_row(root: Path, category: str, index: int, label: int, size: tuple[int, int], with_mask: bool = True) -> Row:
    """One row; an anomalous image gets a mask file with two regions that depend on its index."""
    width, height = size
    mask = ""
    if label and with_mask:
        mask = f"{category}/mask/{index}.png"
        values = np.zeros((height, width), dtype=np.uint8)
        values[2 + index % 5 : 9, 3:9] = values[height - 6 : height - 2, 1 : 4 + index] = 255
        (root / mask).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / mask), values)
    path = f"{category}/test/{'bad' if label else 'good'}/{index}.png"
    return Row(path, category, category, label, mask, "test", "bad" if label else "", width, height, "0")


def make_manifest(rows: list[Row], size: tuple[int, int] = (SIDE, SIDE), **changes: object) -> Manifest:
    manifest = Manifest(
        dataset="toy",
        kind="folder",
        domain="toys",
        root=Path("raw"),
        has_image_labels=True,
        has_pixel_labels=True,
        size=size,
        mask_rule="gt127",
        hash="h",
        counts={},
        notes=(),
        rows=tuple(sorted(rows, key=lambda row: row.path)),
    )
    manifest = replace(manifest, **changes)
    write_manifest(manifest)
    return manifest


def predict(manifest: Manifest, info: PredictionInfo = INFO) -> Predictions:
    info = replace(info, n_images=len(manifest.test))
    directory = Path("data/predictions") / info.learner / info.dataset
    with PredictionWriter(directory, info) as writer:
        for seed in info.seeds:
            random = np.random.default_rng(seed)
            labels = np.array([row.label for row in manifest.test])
            logits = random.normal(-3, 4, (len(labels), *info.grid))
            logits[labels == 1, 1:3, 1:3] += 6
            writer.write(seed, 0, random.normal(labels, 1.0), logits)
    return Predictions.open(directory)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("raw")


@pytest.fixture
def two_categories(place: Path) -> Manifest:
    rows = [make_row(place, name, i, int(i >= 3), (SIDE, SIDE)) for name in ("cup", "nut") for i in range(7)]
    return make_manifest(rows)


def exact_metrics(manifest: Manifest, predictions: Predictions, seed: int, category: str) -> dict[str, float | None]:
    """The category's metrics from full maps and masks in memory; anomalous pictures without mask: image metrics."""
    info = predictions.info
    rows = [(i, row) for i, row in enumerate(manifest.test) if row.category == category]
    shown = [(i, row) for i, row in rows if row.mask or not row.label]
    maps = [full_map(predictions.map_codes(seed, i), (SIDE, SIDE), info.upsample, info.sigma) for i, _ in shown]
    masks = [
        cv2.imread(str(manifest.root / row.mask), 0) > 127 if row.mask else np.zeros((SIDE, SIDE), dtype=bool)
        for _, row in shown
    ]
    scores, labels = predictions.scores(seed)[[i for i, _ in rows]], np.array([row.label for _, row in rows])
    return {**image_metrics(scores, labels), **exact.pixel_metrics(maps, masks, 0.3)}


def test_cell_holds_the_exact_numbers(two_categories: Manifest) -> None:
    predictions = predict(two_categories)
    cell = score_cell(make_params(), "cops", "toy")
    expected = {
        seed: {name: exact_metrics(two_categories, predictions, seed, name) for name in ("cup", "nut")}
        for seed in (0, 1, 5)
    }
    for metric in METRICS:
        per_seed = [np.mean([expected[seed][name][metric] for name in ("cup", "nut")]) for seed in (0, 1, 5)]
        close = {"abs": 1e-3 if metric in PIXEL_METRICS else 1e-6}  # bins matter on 4,000 pixels
        assert [cell["per_seed"][s][metric] for s in "015"] == pytest.approx(per_seed, **close)
        assert cell["mean"][metric] == pytest.approx(np.mean(per_seed), **close)
        assert cell["sd"][metric] == pytest.approx(np.std(per_seed, ddof=1), **close)
        category = np.mean([expected[seed]["nut"][metric] for seed in (0, 1, 5)])
        assert cell["categories"]["nut"][metric] == pytest.approx(category, **close)


def test_cell_tells_defect_types_apart(place: Path) -> None:
    """A type's metrics are those of its pictures beside all normal ones, as if no others were there."""
    rows = [make_row(place, "cup", i, int(i >= 3), (SIDE, SIDE)) for i in range(9)]
    kinds = ["", "", "", "dent", "dent", "hole", "hole", "hole", "dent"]
    rows = [replace(row, defect_type=kind) for row, kind in zip(rows, kinds, strict=True)]
    manifest = make_manifest(rows)
    predictions = predict(manifest)
    defects = score_cell(make_params(), "cops", "toy")["categories"]["cup"]["defects"]
    assert {name: values["n_images"] for name, values in defects.items()} == {"dent": 3, "hole": 3}
    for kind in defects:
        others = [row.path for row in rows if row.defect_type not in ("", kind)]
        alone = replace(
            manifest, rows=tuple(replace(row, category="other") if row.path in others else row for row in manifest.rows)
        )
        expected = [exact_metrics(alone, predictions, seed, "cup") for seed in INFO.seeds]
        for metric in METRICS:
            assert defects[kind][metric] == pytest.approx(np.mean([e[metric] for e in expected]), abs=2e-3)


def test_cell_tells_how_far_other_pictures_would_move_it(two_categories: Manifest) -> None:
    """95 % intervals and standard errors; the cell's are narrower than its categories'."""
    predict(two_categories)
    cell = score_cell(make_params(), "cops", "toy")
    for metric in METRICS:
        low, high = cell["interval"][metric]
        assert 0 <= low < cell["mean"][metric] < high <= 1
        widths = [np.diff(cell["categories"][name]["interval"][metric]) for name in ("cup", "nut")]
        assert high - low < max(widths)
        assert 0 < cell["se"][metric] < high - low


def test_cell_names_its_origin_and_settings(two_categories: Manifest) -> None:
    predictions = predict(two_categories)
    cell = score_cell(make_params(aupro_fpr_limit=0.1), "cops", "toy")
    assert json.loads(Path("metrics/cells/cops/toy.json").read_text()) == cell
    assert cell["metrics"] == {"resolution": [SIDE, SIDE], "aupro_fpr_limit": 0.1, "connectivity": 8}
    origin = {name: cell[name] for name in ("learner", "source", "shots", "domain", "n_images", "seeds", "reason")}
    assert origin == {
        "learner": "cops",
        "source": "aux",
        "shots": 0,
        "domain": "toys",
        "n_images": 14,
        "seeds": [0, 1, 5],
        "reason": None,
    }
    assert (cell["dataset_hash"], cell["config_hash"], cell["prediction_hash"]) == ("h", "c", predictions.hash)
    assert {name: cell["categories"]["cup"][name] for name in ("n_images", "n_anomalous")} == {
        "n_images": 7,
        "n_anomalous": 4,
    }
    assert cell["undefined"] == {}


def test_identical_runs_write_identical_files(two_categories: Manifest) -> None:
    predict(two_categories)
    score_cell(make_params(), "cops", "toy")
    first = Path("metrics/cells/cops/toy.json").read_bytes()
    predict(two_categories)
    score_cell(make_params(), "cops", "toy")
    assert Path("metrics/cells/cops/toy.json").read_bytes() == first


def test_one_seed_has_spread_zero(two_categories: Manifest) -> None:
    predict(two_categories, replace(INFO, seeds=[3]))
    cell = score_cell(make_params(), "cops", "toy")
    assert cell["sd"] == dict.fromkeys(METRICS)
    assert list(cell["per_seed"]) == ["3"]


def test_a_category_without_normals_has_no_image_metrics(place: Path) -> None:
    rows = [make_row(place, "cup", i, int(i >= 3), (SIDE, SIDE)) for i in range(6)]
    rows += [make_row(place, "nut", i, 1, (SIDE, SIDE)) for i in range(3)]
    predict(make_manifest(rows))
    cell = score_cell(make_params(), "cops", "toy")
    assert all(cell["categories"]["nut"][metric] is None for metric in IMAGE_METRICS)
    assert cell["undefined"] == dict.fromkeys(IMAGE_METRICS, 1)
    for metric in IMAGE_METRICS:
        assert cell["mean"][metric] == cell["categories"]["cup"][metric]
    assert cell["mean"]["pixel_ap"] is not None


@pytest.mark.parametrize(
    ("change", "missing"), [({"has_image_labels": False}, IMAGE_METRICS), ({"has_pixel_labels": False}, PIXEL_METRICS)]
)
def test_metrics_without_labels_are_null(place: Path, change: dict[str, bool], missing: tuple[str, ...]) -> None:
    with_mask = change.get("has_pixel_labels", True)
    rows = [make_row(place, "cup", i, int(i >= 3), (SIDE, SIDE), with_mask) for i in range(6)]
    predict(make_manifest(rows, **change))
    cell = score_cell(make_params(), "cops", "toy")
    assert {metric for metric in METRICS if cell["mean"][metric] is None} == set(missing)
    assert {metric for metric in METRICS if cell["sd"][metric] is None} == set(missing)
    assert cell["undefined"] == dict.fromkeys(missing, 1)


def test_pictures_without_a_usable_mask_count_for_image_metrics_only(two_categories: Manifest) -> None:
    """A category of which no mask is usable has no pixel metrics."""
    bare = [row.path for row in two_categories.rows if row.category == "nut" or row.path.endswith(("3.png", "5.png"))]
    manifest = make_manifest([replace(row, mask="") if row.path in bare else row for row in two_categories.rows])
    predictions = predict(manifest)
    cell = score_cell(make_params(), "cops", "toy")
    assert cell["n_images"] == 14
    expected = [exact_metrics(manifest, predictions, seed, "cup") for seed in INFO.seeds]
    for metric in METRICS:
        wanted = np.mean([values[metric] for values in expected])
        assert cell["categories"]["cup"][metric] == pytest.approx(wanted, abs=1e-3)
    assert cell["categories"]["nut"]["image_auroc"] is not None
    assert all(cell["categories"]["nut"][metric] is None for metric in PIXEL_METRICS)
    assert cell["undefined"] == dict.fromkeys(PIXEL_METRICS, 1)


def test_a_cell_that_has_no_meaning_keeps_its_reason(two_categories: Manifest) -> None:
    info = replace(INFO, n_images=14, seeds=[], grid=(0, 0), reason="cops is trained on toy")
    write_not_applicable(Path("data/predictions/cops/toy"), info)
    cell = score_cell(make_params(), "cops", "toy")
    assert cell["reason"] == "cops is trained on toy"
    assert cell["mean"] == cell["sd"] == dict.fromkeys(METRICS)
    assert cell["categories"] == cell["per_seed"] == cell["undefined"] == cell["interval"] == cell["se"] == {}
    assert cell["n_images"] == 14


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@pytest.mark.parametrize(("side", "expected"), [(None, [20, 32]), (40, [40, 40])])
def test_resolution(place: Path, protocol: str, side: int | None, expected: list[int]) -> None:
    """Declared size 32 x 20 (w, h); pictures themselves may differ from it."""
    rows = [make_row(place, "cup", i, int(i >= 2), (32, 20) if i % 2 else (50, 24)) for i in range(6)]
    predict(make_manifest(rows, size=(32, 20)), replace(INFO, protocol=protocol))
    cell = score_cell(make_params(resolution=side), "cops", "toy")
    assert cell["metrics"]["resolution"] == expected
    assert cell["mean"]["pixel_auroc"] > 0.5


def test_protocols_resize_masks_differently(place: Path) -> None:
    """A single pixel: kept by the strict rule, lost by the papers' when the mask shrinks."""
    rows = [make_row(place, "cup", i, int(i >= 2), (96, 96)) for i in range(4)]
    for row in rows[2:]:
        values = np.zeros((96, 96), dtype=np.uint8)
        values[40, 41] = 255
        cv2.imwrite(str(place / row.mask), values)
    manifest = make_manifest(rows)
    undefined = {}
    for key, protocol in (("cops", "strict"), ("cops_paper", "paper")):
        predict(manifest, replace(INFO, learner=key, protocol=protocol))
        undefined[protocol] = score_cell(make_params(), key, "toy")["undefined"]
    assert undefined == {"strict": {}, "paper": dict.fromkeys(PIXEL_METRICS, 1)}


@pytest.mark.parametrize(("key", "dataset"), [("cosp", "toy"), ("cops", "toi")])
def test_unknown_names_are_refused(two_categories: Manifest, key: str, dataset: str) -> None:
    with pytest.raises(UserError, match="did you mean"):
        score_cell(make_params(), key, dataset)


def test_missing_predictions_or_manifest_name_the_stage(place: Path) -> None:
    with pytest.raises(UserError, match="index@toy"):
        score_cell(make_params(), "cops", "toy")
    make_manifest([make_row(place, "cup", 0, 0, (SIDE, SIDE))])
    with pytest.raises(UserError, match=r"prediction.json: not found; run `dvc repro"):
        score_cell(make_params(), "cops", "toy")


def test_predictions_of_another_manifest_are_refused(two_categories: Manifest) -> None:
    predict(two_categories)
    write_manifest(replace(two_categories, hash="other"))
    with pytest.raises(UserError, match=r"run `dvc repro`"):
        score_cell(make_params(), "cops", "toy")
    assert not Path("metrics/cells").exists()


def test_a_mask_of_another_size_is_named(two_categories: Manifest) -> None:
    predict(two_categories)
    cv2.imwrite("raw/nut/mask/4.png", np.full((5, 5), 255, dtype=np.uint8))
    with pytest.raises(UserError, match=r"nut/mask/4\.png"):
        score_cell(make_params(), "cops", "toy")


def test_memory_does_not_grow_with_the_number_of_images(place: Path, make_peak: Callable[[int], int]) -> None:
    """Rows of the manifest, scores and draws stay (1 kB each an image); an image's map alone would be 32 kB."""
    make_peak(20)  # what is loaded with the first use
    assert make_peak(220) - make_peak(60) < 160 * 4096


@pytest.fixture
def make_peak(place: Path) -> Callable[[int], int]:
    def peak(n: int) -> int:
        rows = [make_row(place, "cup", i % 10, int(i % 10 >= 5), (64, 64)) for i in range(n)]
        predict(make_manifest(rows, size=(64, 64)))
        tracemalloc.start()
        score_cell(make_params(), "cops", "toy")
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    return peak
