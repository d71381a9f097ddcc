"""Two AUROCs on the same pictures: DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988).

Fast form: X. Sun and W. Xu, "Fast implementation of DeLong's algorithm for comparing the areas under correlated
receiver operating characteristic curves", IEEE Signal Processing Letters 21 (2014): mid-ranks instead of all pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Placements:
    """anomalous [m]: share of the normal pictures that each anomalous one scores above; normal [n]: the reverse."""

    anomalous: Floats
    normal: Floats

    @property
    def auroc(self) -> float:
        """Their mean: ties count half."""
        return float(self.anomalous.mean())


@dataclass(frozen=True)
class DeLong:
    """AUROCs a and b; z, p: two-sided test of a − b, None where the scores leave no spread to judge by."""

    a: float
    b: float
    difference: float
    se: float
    z: float | None
    p: float | None


def placements(scores: Sequence[NDArray[np.floating]], labels: NDArray[np.integer]) -> Placements:
    """Of one or more seeds' scores [n]; over seeds they are averaged, so that the AUROC is the seeds' mean."""
    each = [_placements(np.asarray(one, dtype=np.float64), labels == 1) for one in scores]
    return Placements(*(np.mean(part, axis=0) for part in zip(*each, strict=True)))


def delong(a: Placements, b: Placements) -> DeLong:
    """a and b are of the same pictures, at least two normal and two anomalous ones."""
    anomalous, normal = a.anomalous - b.anomalous, a.normal - b.normal
    variance = anomalous.var(ddof=1) / len(anomalous) + normal.var(ddof=1) / len(normal)
    return _test(a.auroc, b.auroc, math.sqrt(variance))


def combined(categories: Sequence[DeLong]) -> DeLong:
    """Of the unweighted mean over categories, whose pictures are independent of each other."""
    a, b = (float(np.mean([getattr(one, side) for one in categories])) for side in ("a", "b"))
    return _test(a, b, math.sqrt(sum(one.se**2 for one in categories)) / len(categories))


def _placements(scores: Floats, anomalous: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    from scipy.stats import rankdata

    ranks, m = rankdata(scores), int(anomalous.sum())
    n = len(scores) - m
    above = (ranks[anomalous] - rankdata(scores[anomalous])) / n
    below = 1 - (ranks[~anomalous] - rankdata(scores[~anomalous])) / m
    return above, below


def _test(a: float, b: float, se: float) -> DeLong:
    difference = a - b
    if se < 1e-12:  # both put every pair in the same order, or one separates perfectly: nothing to judge by
        return DeLong(a, b, difference, 0.0, None, 1.0 if abs(difference) < 1e-12 else None)
    z = difference / se
    return DeLong(a, b, difference, se, z, math.erfc(abs(z) / math.sqrt(2)))
