"""`zsad gate --explain`: where a metric was lost: categories, defect types, and pictures with maps before and after.

A picture's part in image AUROC is how often it stands on its side: an anomalous one above the normal pictures of its
category, a normal one below the anomalous ones. Its part in pixel metrics is the AUROC of its own pixels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import cv2
import numpy as np

from zsad.common.io import atomic_path
from zsad.datasets.images import read_image
from zsad.datasets.masks import read_mask
from zsad.evaluation.category import image_scores
from zsad.evaluation.metrics.histogram import PixelHistogram
from zsad.evaluation.past_predictions import BothSides, both_sides
from zsad.evaluation.pixels import read_truth
from zsad.evaluation.results import Cell, read_cell
from zsad.evaluation.revisions import cells_at
from zsad.evaluation.score import by_category
from zsad.evaluation.verdict import Verdict
from zsad.inference.maps import Floats
from zsad.inference.render import overlay

SHOWN = 5  # categories, defect types and pictures that lost most
PARTS = {"image": "rank", "pixel": "own pixels"}
NOT_AT_HAND = "- pictures: the predictions of both sides are not at hand; `dvc pull` and `dvc repro` bring them"
CONTOUR = (0, 255, 0)  # of the true region, RGB


class Loss(NamedTuple):
    """What lost, and its value before and after."""

    what: str
    before: float
    after: float


def explain(verdict: Verdict, out: Path) -> str:
    """Markdown on every cell of which a metric fell; pictures go to `out` where the predictions of both sides are."""
    fallen: dict[tuple[str, str], list[str]] = {}
    for change in verdict.changes:
        if change.fell and change.scope == "cell":
            fallen.setdefault((change.learner, change.dataset), []).append(change.metric)
    if not (fallen and verdict.commit):
        return "## What was lost\n\nNothing: no metric of a cell fell by more than tolerance and chance allow.\n"
    before, after = cells_at(verdict.commit)[0], {name: read_cell(*name) for name in fallen}
    cells = both_sides(verdict.commit, fallen, before, after)
    pictures = {cell.name: _pictures(cell, fallen[cell.name], out) for cell in cells}
    parts = ["## What was lost"]
    for name, metrics in fallen.items():
        lines = [line for metric in metrics for line in _parts(before[name], after[name], metric)]
        lines += pictures.get(name, [NOT_AT_HAND])
        parts += [f"### {name[0]} on {name[1]}: {', '.join(metrics)}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _parts(before: Cell, after: Cell, metric: str) -> list[str]:
    """A line on the categories, and one on the defect types, that lost most in one metric."""
    categories: list[Loss] = []
    defects: list[Loss] = []
    for name, old in before["categories"].items():
        new = after["categories"].get(name, {})
        categories += _loss(name, old, new, metric)
        for kind, values in old.get("defects", {}).items():
            defects += _loss(f"{name}/{kind}", values, new.get("defects", {}).get(kind, {}), metric)
    told = {"category": _told(categories), "defect type": _told(defects)}
    return [f"- {metric} by {title}: {text}" for title, text in told.items() if text]


def _loss(what: str, old: Mapping[str, Any], new: Mapping[str, Any], metric: str) -> list[Loss]:
    before, after = old.get(metric), new.get(metric)
    return [] if before is None or after is None else [Loss(what, before, after)]


def _told(losses: Sequence[Loss]) -> str:
    worst = sorted(losses, key=lambda loss: loss.after - loss.before)[:SHOWN]
    return ", ".join(f"{loss.what} {loss.before:.3f} → {loss.after:.3f}" for loss in worst if loss.after < loss.before)


def _pictures(cell: BothSides, metrics: Sequence[str], out: Path) -> list[str]:
    """A line a picture that lost most, with the file that shows it."""
    lines = []
    for kind, part in (("image", _standing), ("pixel", _own_pixels)):
        losses = part(cell) if any(metric.startswith(kind) for metric in metrics) else {}
        fallen = [image for image, loss in losses.items() if loss.after < loss.before]
        for image in sorted(fallen, key=lambda image: losses[image].after - losses[image].before)[:SHOWN]:
            loss = losses[image]
            path = out / "_".join(cell.name) / (loss.what.replace("/", "_").rpartition(".")[0] + ".png")
            with atomic_path(path) as temporary:
                temporary.write_bytes(_side_by_side(cell, image))
            lines.append(f"- {PARTS[kind]}: {loss.what} {loss.before:.3f} → {loss.after:.3f}, see {path}")
    return lines


def _standing(cell: BothSides) -> dict[int, Loss]:
    """{image: how often it stands on its side of the other label's pictures}, mean over seeds."""
    rows = cell.manifest.test
    losses: dict[int, Loss] = {}
    for name, images in by_category(cell.manifest):
        labels = np.array([rows[image].label for image in images])
        old, new = (
            np.mean([_won(image_scores(side, seed, name, images), labels) for seed in side.info.seeds], axis=0)
            for side in (cell.before, cell.after)
        )
        losses |= {i: Loss(rows[i].path, float(a), float(b)) for i, a, b in zip(images, old, new, strict=True)}
    return losses


def _won(scores: Floats, labels: np.ndarray) -> Floats:
    """Share of the other label's pictures [n] on whose right side each stands; ties count half."""
    above = np.sign(scores[:, None] - scores[None]) * np.where(labels == 1, 1, -1)[:, None] / 2 + 0.5
    other = labels[:, None] != labels[None]
    return (above * other).sum(1) / np.maximum(other.sum(1), 1)


def _own_pixels(cell: BothSides) -> dict[int, Loss]:
    """{anomalous image with a mask: AUROC of its own pixels}, mean over seeds."""
    losses: dict[int, Loss] = {}
    for image, row in enumerate(cell.manifest.test):
        if row.mask:
            size = (row.height, row.width)
            truth = read_truth(cell.manifest, row, size, cell.after.info.protocol)
            values = []
            for side in (cell.before, cell.after):
                histograms = [PixelHistogram() for _ in side.info.seeds]
                for seed, one in zip(side.info.seeds, histograms, strict=True):
                    one.add(side.full_map(seed, image, size), truth)
                values.append(fmean(one.metrics(1.0)["pixel_auroc"] or 0.0 for one in histograms))
            losses[image] = Loss(row.path, *values)
    return losses


def _side_by_side(cell: BothSides, image: int) -> bytes:
    """PNG: the picture with its true region outlined, then the first seed's map over it before and after."""
    row = cell.manifest.test[image]
    picture = read_image(cell.manifest.root / row.path)
    outlined = np.ascontiguousarray(picture)
    if row.mask:
        mask = read_mask(cell.manifest.root / row.mask, (row.width, row.height), cell.manifest.mask_rule)
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outlined = cv2.drawContours(outlined.copy(), contours, -1, CONTOUR, max(1, row.width // 200))
    maps = [side.full_map(side.info.seeds[0], image, picture.shape[:2]) for side in (cell.before, cell.after)]
    joined = np.concatenate([outlined, *(overlay(picture, one) for one in maps)], axis=1)
    return cv2.imencode(".png", cv2.cvtColor(joined, cv2.COLOR_RGB2BGR))[1].tobytes()
