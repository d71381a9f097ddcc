"""The slow references against scikit-learn and against the official loop, written out."""

import cv2
import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from zsad.evaluation.metrics import reference as exact
from zsad.evaluation.metrics.names import PIXEL_METRICS

RANDOM = np.random.default_rng(3)
SCORES = np.round(RANDOM.random((4, 16, 16)), 2)  # many ties
MASKS = np.stack([cv2.dilate((RANDOM.random((16, 16)) > 0.98).astype(np.uint8), np.ones((3, 3))) for _ in range(4)]) > 0


def literal_aupro(limit: float, steps: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(FPR, mean region overlap) threshold by threshold, region by region."""
    low, high = SCORES.min(), SCORES.max()
    thresholds = np.arange(low, high, (high - low) / steps) if steps else np.append(np.unique(SCORES), np.inf)
    rates, overlaps = [], []
    for threshold in thresholds:
        found = np.greater(SCORES, threshold) if steps else np.greater_equal(SCORES, threshold)
        covered = []
        for image, mask in zip(found, MASKS, strict=True):
            count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
            covered += [image[labels == region].mean() for region in range(1, count)]
        rates.append(found[~MASKS].mean())
        overlaps.append(np.mean(covered))
    return np.array(rates), np.array(overlaps)


def test_against_scikit_learn() -> None:
    found = exact.pixel_metrics(SCORES, MASKS, 1.0)
    labels, scores = MASKS.ravel(), SCORES.ravel()
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found["pixel_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert found["pixel_f1max"] == pytest.approx((2 * precision * recall / (precision + recall)).max(), abs=1e-12)


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_against_every_threshold(limit: float) -> None:
    rates, overlaps = (values[::-1] for values in literal_aupro(limit, None))
    grid = np.union1d(rates[rates <= limit], [limit])
    expected = auc(grid, np.interp(grid, rates, overlaps)) / limit
    assert exact.pixel_metrics(SCORES, MASKS, limit)["pixel_aupro"] == pytest.approx(expected, abs=1e-12)


def test_step_form_is_the_official_loop() -> None:
    rates, overlaps = literal_aupro(0.3, 200)
    kept = rates < 0.3
    stretched = (rates[kept] - rates[kept].min()) / (rates[kept].max() - rates[kept].min())
    assert exact.aupro_steps(SCORES, MASKS) == pytest.approx(auc(stretched, overlaps[kept]), abs=1e-12)


def test_step_form_differs_from_the_exact_definition() -> None:
    """It stretches the rates that fall below the limit; a map of few values shows the difference plainly."""
    coarse = np.round(SCORES, 1)
    step_form, definition = exact.aupro_steps(coarse, MASKS), exact.pixel_metrics(coarse, MASKS, 0.3)["pixel_aupro"]
    assert abs(step_form - definition) > 1e-3


def test_undefined() -> None:
    nothing, everything = np.zeros_like(MASKS), np.ones_like(MASKS)
    assert exact.pixel_metrics(SCORES, nothing, 0.3) == dict.fromkeys(PIXEL_METRICS)
    assert exact.pixel_metrics(SCORES, everything, 0.3) == dict.fromkeys(PIXEL_METRICS)
    assert exact.aupro_steps(SCORES, nothing) is None
    assert exact.aupro_steps(SCORES, everything) is None
    assert exact.aupro_steps(np.zeros_like(SCORES), MASKS) is None
    assert exact.aupro_steps(np.where(MASKS, 0.0, 1.0), MASKS) is None  # every rate below the limit is the same
