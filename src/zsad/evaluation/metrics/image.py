"""Image-level metrics, exact."""

import numpy as np
from numpy.typing import NDArray

from zsad.evaluation.metrics.curves import auroc, average_precision, defined, f1_max


def image_metrics(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, float | None]:
    """AUROC, average precision and largest F1 of scores [n] against labels [n] (1 = anomalous)."""
    if not np.isfinite(scores).all():
        raise ValueError("image scores must be finite numbers")
    _, step = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
    anomalous = labels == 1
    positives = np.bincount(step[anomalous], minlength=step.max(initial=-1) + 1)
    negatives = np.bincount(step[~anomalous], minlength=step.max(initial=-1) + 1)
    return {
        "image_auroc": defined(auroc(positives, negatives)),
        "image_ap": defined(average_precision(positives, negatives)),
        "image_f1max": defined(f1_max(positives, negatives)),
    }
