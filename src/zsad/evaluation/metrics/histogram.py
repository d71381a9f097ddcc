"""All pixel metrics in one pass and constant memory: histograms over log-odds instead of a sort of all pixels.

65,536 bins over ±24, the same steps as stored maps, so that maps which saturate near 0 or 1 keep their ranks
(uniform bins in probability lose them). Three histograms suffice: all pixels, positives, and positives weighted by
1 / size of their region (for AUPRO). They are sums: add images in any order, merge parts of a set.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zsad.evaluation.metrics.curves import aupro, auroc, average_precision, defined, f1_max
from zsad.inference.maps import LOGIT_LIMIT, MAX_CODE, Codes

CONNECTIVITY = 8
BINS = MAX_CODE + 1
_FLOOR = np.float32(1 / (1 + np.exp(LOGIT_LIMIT)))
_STEPS = np.float32(MAX_CODE / (2 * LOGIT_LIMIT))


@dataclass(frozen=True)
class Truth:
    """Anomalous pixels of one image: flat indices [K], 1 / size of each one's region [K], number of regions."""

    indices: NDArray[np.intp]
    weights: NDArray[np.float64]
    regions: int


def truth_of(mask: NDArray[np.bool_]) -> Truth:
    """Regions of a mask [H,W], 8-connected. Independent of any prediction: one call serves all seeds."""
    indices = np.flatnonzero(mask)
    if not len(indices):
        return Truth(indices, np.zeros(0), 0)
    count, labels = cv2.connectedComponents(np.ascontiguousarray(mask, dtype=np.uint8), connectivity=CONNECTIVITY)
    region = labels.ravel()[indices]
    return Truth(indices, 1.0 / np.bincount(region)[region], count - 1)


def bin_of(probabilities: NDArray[np.floating]) -> Codes:
    """Bin of each probability, any shape; a value outside [0,1] or NaN raises ValueError."""
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("anomaly maps must be probabilities in [0, 1]")
    # float32 logarithms are far finer than a bin, but 1 - p has to be taken before rounding
    bins = cv2.log(np.maximum(probabilities.astype(np.float32), _FLOOR))
    bins -= cv2.log(np.maximum(np.subtract(1.0, probabilities, dtype=np.float64).astype(np.float32), _FLOOR))
    bins += np.float32(LOGIT_LIMIT)
    bins *= _STEPS
    bins += np.float32(0.5)
    return np.minimum(bins, MAX_CODE).astype(np.uint16)


class PixelHistogram:
    """Accumulates images, then yields the four pixel metrics. One picture alone is one too."""

    def __init__(self) -> None:
        self.pixels = np.zeros(BINS, dtype=np.int64)
        self.positives = np.zeros(BINS, dtype=np.int64)
        self.weights = np.zeros(BINS, dtype=np.float64)
        self.regions = 0

    def add(self, probabilities: NDArray[np.floating], truth: Truth) -> None:
        """Add one image: probabilities [H,W] and what `truth_of` says of its mask of the same size."""
        bins = bin_of(probabilities).ravel()
        self.pixels += np.bincount(bins, minlength=BINS)
        if truth.regions:
            marked = bins[truth.indices]
            self.positives += np.bincount(marked, minlength=BINS)
            self.weights += np.bincount(marked, weights=truth.weights, minlength=BINS)
            self.regions += truth.regions

    def merge(self, other: "PixelHistogram") -> None:
        """Add all images of another histogram."""
        self.pixels += other.pixels
        self.positives += other.positives
        self.weights += other.weights
        self.regions += other.regions

    def metrics(self, fpr_limit: float) -> dict[str, float | None]:
        """The four pixel metrics of everything added; None without anomalous or without normal pixels."""
        used = np.flatnonzero(self.pixels)[::-1]
        positives, negatives = self.positives[used], self.pixels[used] - self.positives[used]
        return {
            "pixel_auroc": defined(auroc(positives, negatives)),
            "pixel_ap": defined(average_precision(positives, negatives)),
            "pixel_f1max": defined(f1_max(positives, negatives)),
            "pixel_aupro": defined(aupro(self.weights[used], self.regions, negatives, fpr_limit)),
        }
