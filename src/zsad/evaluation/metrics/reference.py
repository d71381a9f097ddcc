"""Slow references: the same metrics by sorting every pixel, without bins; used by tests and for comparisons."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Maps = Sequence[NDArray[np.floating]]
Masks = Sequence[NDArray[np.bool_]]
Floats = NDArray[np.float64]


def pixel_metrics(maps: Maps, masks: Masks, fpr_limit: float) -> dict[str, float | None]:
    """The four pixel metrics of maps [H,W] and masks [H,W], over all distinct values as thresholds."""
    scores = np.concatenate([np.ravel(m) for m in maps]).astype(np.float64)
    labels = np.concatenate([np.ravel(m) for m in masks]).astype(bool)
    if labels.all() or not labels.any():
        return dict.fromkeys(("pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_aupro"))
    true, false, overlap = _cumulated(scores, labels, _region_weights(masks))
    recall, rate = true / true[-1], false / false[-1]
    precision = true[1:] / (true[1:] + false[1:])
    return {
        "pixel_auroc": float(np.trapezoid(recall, rate)),
        "pixel_ap": float(np.diff(recall) @ precision),
        "pixel_f1max": float(np.max(2 * precision * recall[1:] / np.maximum(precision + recall[1:], 1e-300))),
        "pixel_aupro": _area_to(rate, overlap / overlap[-1], fpr_limit),
    }


def aupro_steps(maps: Maps, masks: Masks, fpr_limit: float = 0.3, steps: int = 200) -> float | None:
    """AUPRO as the official codes of AnomalyCLIP, FAPrompt and others compute it.

    `steps` even thresholds between the smallest and the largest value; false-positive rates below the limit are
    stretched to [0,1] by their own smallest and largest value, not by the limit: hence not the exact AUPRO.
    """
    scores = np.concatenate([np.ravel(m) for m in maps]).astype(np.float64)
    normal = ~np.concatenate([np.ravel(m) for m in masks]).astype(bool)
    regions = [values for image, mask in zip(maps, masks, strict=True) for values in _regions(image, mask)]
    low, high = scores.min(), scores.max()
    if low == high or not regions or not normal.any():
        return None
    thresholds = np.arange(low, high, (high - low) / steps)
    rate = _above(scores[normal], thresholds)
    overlap = np.mean([_above(values, thresholds) for values in regions], axis=0)
    kept = rate < fpr_limit
    if not kept.any() or np.ptp(rate[kept]) == 0:
        return None
    stretched = (rate[kept] - rate[kept].min()) / np.ptp(rate[kept])
    return float(abs(np.trapezoid(overlap[kept], stretched)))


def _cumulated(scores: Floats, labels: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats, Floats]:
    """True positives, false positives and region overlap at falling thresholds, a leading 0 each."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # last pixel of each tie
    columns = (labels[order], ~labels[order], weights[order])
    true, false, overlap = (np.append(0.0, np.cumsum(column, dtype=np.float64)[last]) for column in columns)
    return true, false, overlap


def _area_to(rate: Floats, overlap: Floats, limit: float) -> float:
    """Trapezoid area for rates up to `limit`, the piece that crosses it cut there, divided by `limit`."""
    step = np.diff(rate)
    width = np.clip(limit - rate[:-1], 0.0, step)
    share = np.divide(width, step, out=np.zeros_like(step), where=step > 0)
    height = overlap[:-1] + np.diff(overlap) * share / 2
    return float(width @ height / limit)


def _labels(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    return cv2.connectedComponents(np.ascontiguousarray(mask, dtype=np.uint8), connectivity=8)[1]


def _region_weights(masks: Masks) -> Floats:
    """1 / size of its region for each anomalous pixel of all masks, 0 elsewhere."""
    parts = []
    for mask in masks:
        labels = _labels(mask).ravel()
        parts.append(np.where(labels > 0, 1.0 / np.bincount(labels)[labels], 0.0))
    return np.concatenate(parts)


def _regions(image: NDArray[np.floating], mask: NDArray[np.bool_]) -> list[Floats]:
    """The map's values in each region of the mask."""
    labels = _labels(mask)
    return [image[labels == region] for region in range(1, labels.max() + 1)]


def _above(values: NDArray[np.floating], thresholds: Floats) -> Floats:
    """Fraction of `values` above each threshold."""
    return 1.0 - np.searchsorted(np.sort(values), thresholds, side="right") / values.size
