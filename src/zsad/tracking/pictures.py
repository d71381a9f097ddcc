"""Sheets of a configuration's best and worst pictures, from stored predictions: what it finds, misses, and imagines.

The first seed's: two anomalies that it is surest of, two that it is least sure of, two normal pictures that it takes
for the most anomalous. Above the picture with the border of its ground truth, below it the overlay, then the score.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from zsad.common.io import content_hash
from zsad.datasets.images import read_image
from zsad.datasets.manifest import Manifest, Row, load_manifest
from zsad.datasets.masks import read_mask
from zsad.evaluation.results import Cell
from zsad.inference.ensemble import RowPredictions, have_predictions, predictions_of
from zsad.inference.render import overlay

SIDE, GAP, LINE = 128, 4, 18  # pixels
OF_EACH = 2
TRUTH = (230, 30, 30)
COLOURS = 160


def drawable(cell: Cell) -> bool:
    """Whether the cell's own predictions, and the pictures that they are of, are on this machine."""
    name = cell["learner"], cell["dataset"]
    if not have_predictions(*name) or predictions_of(*name).hash != cell["prediction_hash"]:
        return False
    manifest = load_manifest(cell["dataset"])
    return manifest.hash == cell["dataset_hash"] and (manifest.root / manifest.test[0].path).is_file()


def write_sheet(cell: Cell, directory: Path) -> None:
    """The sheet as MLflow stores a logged image, so that its image grid shows the sheets of all runs side by side.

    Twice, as that grid wants it: PNG and a lighter WebP. Time and id in the name follow the predictions.
    """
    sheet = Image.fromarray(_sheet(cell))
    digest = content_hash([cell["prediction_hash"], cell["dataset"]])[:32]
    stem = directory / "images" / f"{cell['dataset']}+step+0+timestamp+0+{digest}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(COLOURS, Image.Quantize.FASTOCTREE).save(f"{stem}.png")  # the default method takes a second
    sheet.save(f"{stem}+compressed.webp", quality=70, method=0)


def _sheet(cell: Cell) -> np.ndarray:
    """RGB uint8; a column a picture."""
    predictions = predictions_of(cell["learner"], cell["dataset"])
    manifest = load_manifest(cell["dataset"])
    seed = predictions.info.seeds[0]
    scores = predictions.scores(seed)
    columns = [
        _column(predictions, manifest, seed, image, f"{title} {scores[image]:.2f}")
        for title, image in _chosen(scores, manifest.test, predictions.info.left_out)
    ]
    gap = np.full((columns[0].shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([part for column in columns for part in (column, gap)][:-1])


def _chosen(scores: np.ndarray, rows: Sequence[Row], left_out: Collection[str]) -> Iterator[tuple[str, int]]:
    """(what it is an example of, index); ties go to the first in path order; left_out: categories without a model."""
    order = [int(image) for image in np.argsort(-scores, kind="stable") if rows[image].category not in left_out]
    anomalous = [image for image in order if rows[image].label]
    normal = [image for image in order if not rows[image].label]
    yield from (("found", image) for image in anomalous[:OF_EACH])
    yield from (("missed", image) for image in anomalous[OF_EACH:][-OF_EACH:])
    yield from (("false alarm", image) for image in normal[:OF_EACH])


def _column(predictions: RowPredictions, manifest: Manifest, seed: int, image: int, title: str) -> np.ndarray:
    row = manifest.test[image]
    picture = cv2.resize(read_image(manifest.root / row.path), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    shown = picture.copy()
    if row.label and row.mask:
        mask = read_mask(manifest.root / row.mask, (row.width, row.height), manifest.mask_rule).astype(np.uint8)
        small = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        borders, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(shown, borders, -1, TRUTH, 1)
    heat = overlay(picture, predictions.full_map(seed, image, (SIDE, SIDE)))
    label = np.full((LINE, SIDE, 3), 255, np.uint8)
    cv2.putText(label, title, (2, LINE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (30, 30, 30), 1, cv2.LINE_AA)
    return np.vstack([shown, np.full((GAP, SIDE, 3), 255, np.uint8), heat, label])
