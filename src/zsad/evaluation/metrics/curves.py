"""The metrics themselves, from counts at falling thresholds.

Every function takes arrays [..., K]: how many positives and negatives (or how much region weight) have each of K
scores, highest score first, and returns [...]: one number for one set of counts, or one for each of many draws.
Items of equal score form one step, so ties are exact. A metric without meaning (no positives, or no negatives) is NaN.
"""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64] | NDArray[np.float64]
Floats = NDArray[np.float64]


def auroc(positives: Counts, negatives: Counts) -> Floats:
    """Probability that a positive scores above a negative, ties counted half."""
    above = np.cumsum(positives, -1) - positives / 2
    pairs = positives.sum(-1, dtype=np.float64) * negatives.sum(-1)
    return _where(_both(positives, negatives), (negatives * above).sum(-1), pairs)


def average_precision(positives: Counts, negatives: Counts) -> Floats:
    """Σ precision × gain in recall, step-wise as scikit-learn's `average_precision_score`."""
    true, false = np.cumsum(positives, -1), np.cumsum(negatives, -1)
    precision = true / np.maximum(true + false, 1)
    return _where(_both(positives, negatives), (positives * precision).sum(-1), positives.sum(-1))


def f1_max(positives: Counts, negatives: Counts) -> Floats:
    """Largest F1 over all thresholds."""
    true, false = np.cumsum(positives, -1), np.cumsum(negatives, -1)
    f1 = 2 * true / np.maximum(true + false + positives.sum(-1)[..., None], 1)
    return _where(_both(positives, negatives), f1.max(-1, initial=0.0), 1.0)


def aupro(region_weights: Floats, regions: NDArray | int, negatives: Counts, fpr_limit: float) -> Floats:
    """Area under mean per-region overlap against false-positive rate up to `fpr_limit`, divided by the limit.

    `region_weights` [..., K] sums, over positive pixels, 1 / size of the pixel's region; `regions` [...] counts them.
    The curve is linear between thresholds and is cut exactly at the limit, so a perfect map gives 1.
    """
    regions, normal = np.asarray(regions, dtype=np.float64), negatives.sum(-1, dtype=np.float64)
    meant = np.asarray((regions > 0) & (normal > 0))
    step = negatives / np.maximum(normal, 1)[..., None]
    rate = np.cumsum(negatives, -1) / np.maximum(normal, 1)[..., None]
    width = np.clip(fpr_limit - (rate - step), 0.0, step)  # of the piece before each threshold, as far as the limit
    share = np.divide(width, step, out=np.zeros_like(step), where=step > 0)
    overlap = np.cumsum(region_weights, -1) / np.maximum(regions, 1)[..., None]
    gain = region_weights / np.maximum(regions, 1)[..., None]
    area = (width * (overlap - gain + gain * share / 2)).sum(-1)
    return _where(meant, np.minimum(area / fpr_limit, 1.0), 1.0)


def defined(value: Floats) -> float | None:
    """A single metric value as it is told: None where it has no meaning."""
    return None if np.isnan(value) else float(value)


def _both(positives: Counts, negatives: Counts) -> NDArray[np.bool_]:
    return np.asarray(positives.any(-1) & negatives.any(-1))


def _where(meant: NDArray[np.bool_], numerator: Floats, denominator: Floats | float) -> Floats:
    """numerator / denominator, NaN where the metric has no meaning."""
    return np.divide(numerator, denominator, out=np.full(meant.shape, np.nan), where=meant)
