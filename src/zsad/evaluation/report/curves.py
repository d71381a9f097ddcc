"""Curves of one cell, from its stored predictions: ROC and PR of pictures, PR and PRO of pixels.

Each is the mean of the curves of all categories and seeds at the same abscissa, so the area below it is the number that
the table tells: AUROC, average precision, AUPRO.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsad.evaluation.category import image_scores
from zsad.evaluation.metrics.histogram import PixelHistogram
from zsad.evaluation.pixels import count_pixels
from zsad.evaluation.report.material import Stored
from zsad.evaluation.score import by_category

Floats = NDArray[np.float64]
POINTS = 81  # of a curve
MOST_PIXELS = 10**8  # of all maps of a cell that are read; of larger ones, every k-th picture is


class Curve(NamedTuple):
    """y [n] over x [n], and what share of the pictures it is made from."""

    x: Floats
    y: Floats


class Counts(NamedTuple):
    """Positives, negatives, and region weights [K] at falling scores; number of regions."""

    positives: Floats
    negatives: Floats
    weights: Floats
    regions: int


def read_curves(stored: Stored) -> dict[str, Curve]:
    """{kind: curve}; kinds without meaning on this dataset (no normal pictures, no masks) are not there."""
    limit = stored.cell["metrics"]["aupro_fpr_limit"]
    rates, recalls = np.linspace(0, 1, POINTS), np.linspace(0, 1, POINTS)
    image = [c for c in _image_counts(stored) if c.positives.any() and c.negatives.any()]
    pixel = [c for c in _pixel_counts(stored) if c.positives.any() and c.negatives.any()]
    found = {
        "image_roc": (rates, [_roc(c, rates) for c in image]),
        "image_pr": (recalls, [_precision(c, recalls) for c in image]),
        "pixel_pr": (recalls, [_precision(c, recalls) for c in pixel]),
        "pixel_pro": (rates * limit, [_overlap(c, rates * limit) for c in pixel]),
    }
    return {kind: Curve(x, np.mean(ys, axis=0)) for kind, (x, ys) in found.items() if ys}


def stride(stored: Stored) -> int:
    """1 where all pictures enter the pixel curves, k where every k-th does."""
    height, width = stored.cell["metrics"]["resolution"]
    total = len(stored.manifest.test) * len(stored.predictions.info.seeds) * height * width
    return -(-total // MOST_PIXELS)


def scores_by_label(stored: Stored) -> tuple[Floats, Floats]:
    """Image scores of normal and of anomalous pictures, all seeds."""
    rows, parts = stored.manifest.test, ([], [])  # type: ignore[var-annotated]
    for name, images in _categories(stored):
        for seed in stored.predictions.info.seeds:
            scores = image_scores(stored.predictions, seed, name, images, stored.manifest.has_pixel_labels)
            for image, score in zip(images, scores, strict=True):
                parts[rows[image].label].append(score)
    return np.array(parts[0]), np.array(parts[1])


def _categories(stored: Stored) -> Iterator[tuple[str, list[int]]]:
    left_out = stored.predictions.info.left_out
    return ((name, images) for name, images in by_category(stored.manifest) if name not in left_out)


def _image_counts(stored: Stored) -> Iterator[Counts]:
    if not stored.manifest.has_image_labels:
        return
    for name, images in _categories(stored):
        labels = np.array([stored.manifest.test[image].label for image in images])
        for seed in stored.predictions.info.seeds:
            scores = image_scores(stored.predictions, seed, name, images, stored.manifest.has_pixel_labels)
            values, step = np.unique(-scores, return_inverse=True)
            counts = [np.bincount(step[labels == label], minlength=len(values)).astype(float) for label in (1, 0)]
            yield Counts(counts[0], counts[1], np.zeros(0), 0)


def _pixel_counts(stored: Stored) -> Iterator[Counts]:
    every = stride(stored)
    for _, images in _categories(stored):
        some = images[::every]
        pixels = count_pixels(
            stored.predictions,
            stored.manifest,
            some,
            tuple(stored.cell["metrics"]["resolution"]),
            np.ones((1, len(some)), dtype=np.uint8),
        )
        for seed in pixels.values():
            yield _falling(seed.by_type)


def _falling(by_type: Mapping[str, PixelHistogram]) -> Counts:
    whole = PixelHistogram()
    for histogram in by_type.values():
        whole.merge(histogram)
    used = np.flatnonzero(whole.pixels)[::-1]
    positives = whole.positives[used].astype(float)
    return Counts(positives, whole.pixels[used] - positives, whole.weights[used], whole.regions)


def _roc(counts: Counts, rates: Floats) -> Floats:
    """True-positive rate at false-positive rates."""
    return _rising(counts.negatives, counts.positives, counts.positives.sum(), rates)


def _overlap(counts: Counts, rates: Floats) -> Floats:
    """Mean overlap of a region at false-positive rates."""
    return _rising(counts.negatives, counts.weights, counts.regions, rates)


def _rising(negatives: Floats, gains: Floats, total: float, rates: Floats) -> Floats:
    """Share of gains at each rate, linear between thresholds; where the curve is upright, its upper end."""
    x = np.append(0.0, np.cumsum(negatives) / negatives.sum())
    y = np.append(0.0, np.cumsum(gains) / total)
    return np.interp(rates, x, y)


def _precision(counts: Counts, recalls: Floats) -> Floats:
    """Precision at the first threshold that reaches each recall, as average precision counts it."""
    true, false = np.cumsum(counts.positives), np.cumsum(counts.negatives)
    at = np.searchsorted(true, np.maximum(recalls, 1e-9) * true[-1] * (1 - 1e-12))
    at = np.minimum(at, len(true) - 1)
    return true[at] / (true[at] + false[at])
