"""The metrics themselves, from counts at falling thresholds.

Every function takes arrays [K]: how many positives and negatives (or how much region weight) have each of K
distinct scores, highest score first. Items of equal score form one step, so ties are exact. A metric without
meaning (no positives, or no negatives) is None.
"""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def auroc(positives: Counts, negatives: Counts) -> float | None:
    """Probability that a positive scores above a negative, ties counted half."""
    if not _both(positives, negatives):
        return None
    above = np.cumsum(positives) - positives / 2
    return float(negatives @ above / (float(positives.sum()) * float(negatives.sum())))


def average_precision(positives: Counts, negatives: Counts) -> float | None:
    """Σ precision × gain in recall, step-wise as scikit-learn's `average_precision_score`."""
    if not _both(positives, negatives):
        return None
    true, false = np.cumsum(positives), np.cumsum(negatives)
    precision = true / np.maximum(true + false, 1)
    return float(positives @ precision / float(positives.sum()))


def f1_max(positives: Counts, negatives: Counts) -> float | None:
    """Largest F1 over all thresholds."""
    if not _both(positives, negatives):
        return None
    true, false = np.cumsum(positives), np.cumsum(negatives)
    return float(np.max(2 * true / (true + false + true[-1])))


def aupro(region_weights: Floats, regions: int, negatives: Counts, fpr_limit: float) -> float | None:
    """Area under mean per-region overlap against false-positive rate up to `fpr_limit`, divided by the limit.

    `region_weights` [K] sums, over positive pixels, 1 / size of the pixel's region. The curve is linear between
    thresholds and is cut exactly at the limit, so a perfect map gives 1.
    """
    if regions == 0 or negatives.sum() == 0:
        return None
    rate = np.concatenate(([0.0], np.cumsum(negatives) / negatives.sum()))
    overlap = np.concatenate(([0.0], np.cumsum(region_weights) / regions))
    cut = int(np.searchsorted(rate, fpr_limit))  # first point at or beyond the limit
    share = (fpr_limit - rate[cut - 1]) / (rate[cut] - rate[cut - 1])
    x = np.append(rate[:cut], fpr_limit)
    y = np.append(overlap[:cut], overlap[cut - 1] + share * (overlap[cut] - overlap[cut - 1]))
    return float(min(np.trapezoid(y, x) / fpr_limit, 1.0))


def _both(positives: Counts, negatives: Counts) -> bool:
    return bool(positives.any() and negatives.any())
