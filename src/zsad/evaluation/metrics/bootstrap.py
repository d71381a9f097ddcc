"""Bootstrap over pictures: how far a category's metrics would move with other pictures of the same kind.

Pictures are drawn with replacement, normal and anomalous ones apart, so that both counts stay (Efron and Tibshirani
1993, stratified). A category's draws are the same for every learner, seed and revision, hence differences between two
of them are paired by picture. Pixel metrics of a draw are sums of counts per picture over a few hundred bins, which
follow the category's own quantiles; no pixel is touched again.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsad.evaluation.metrics import curves
from zsad.evaluation.metrics.names import IMAGE_METRICS, PIXEL_METRICS

if TYPE_CHECKING:
    from zsad.evaluation.metrics.histogram import PixelHistogram

Floats = NDArray[np.float64]
Times = NDArray[np.uint8]
Draws = dict[str, Floats]  # by metric: its value in each draw, NaN where it has no meaning

DRAWS = 1000
COVERED = 0.95  # of the intervals that are told
BLOCK = 10  # draws whose image metrics are computed at once
SAMPLE = 16  # pictures from which the bins are chosen; they come first, spread over the category
QUANTILES = 192  # of normal pixels, of anomalous ones, and of those weighted by region: together the bins' edges


def draw_pictures(labels: NDArray[np.integer], category: str, draws: int = DRAWS) -> Times:
    """How often each of n pictures is in each draw [1+draws,n]; row 0: every one once. labels [n], 1 = anomalous."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(category.encode()).digest()[:8], "little"))
    times = np.ones((1 + draws, len(labels)), dtype=np.uint8)
    for label in (0, 1):
        members = np.flatnonzero(labels == label)
        if len(members):
            for row in times[1:]:
                row[members] = np.bincount(rng.integers(len(members), size=len(members)), minlength=len(members))
    return times


def image_draws(scores: NDArray[np.floating], labels: NDArray[np.integer], times: Times) -> Draws:
    """Image metrics of scores [n] and labels [n] in each draw; times [B,n] as from `draw_pictures`."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)  # pictures of equal score form one step
    anomalous = (labels[order] == 1).astype(np.float64)
    blocks = [_image_metrics(times[at : at + BLOCK, order], anomalous, starts) for at in range(0, len(times), BLOCK)]
    return dict(zip(IMAGE_METRICS, np.concatenate(blocks, axis=1), strict=True))


def _image_metrics(times: Times, anomalous: Floats, starts: NDArray[np.intp]) -> Floats:
    """[3,B] of some draws, whose columns go by falling score."""
    positives, negatives = (np.add.reduceat(times * share, starts, axis=1) for share in (anomalous, 1 - anomalous))
    return np.stack([curve(positives, negatives) for curve in (curves.auroc, curves.average_precision, curves.f1_max)])


def in_sample_order(positions: list[int]) -> list[int]:
    """The same positions, `SAMPLE` of them first that are spread over all: a category's pictures go by defect type."""
    first = positions[:: max(1, len(positions) // SAMPLE)]
    return first + sorted(set(positions) - set(first))


class PixelDraws:
    """Pixel counts of every draw, summed up picture by picture: memory does not grow with their number.

    times [B,n]: as from `draw_pictures`.
    """

    def __init__(self, times: Times) -> None:
        self._times = times
        self._starts: NDArray[np.intp] | None = None  # first fine bin of each coarse one
        self._sums: Floats = np.zeros((3, len(times), 0))  # pixels, positives, weights in each draw; highest bin first
        self._regions = np.zeros(len(times))
        self._waiting: list[tuple[int, _Sparse]] = []

    def add(self, position: int, picture: "PixelHistogram") -> None:
        """One more picture; `position`: its column of `times`. The first `SAMPLE` determine the bins."""
        self._waiting.append((position, _Sparse.of(picture)))
        self._regions += self._times[:, position] * picture.regions
        if len(self._waiting) == SAMPLE:
            self._flush()

    def metrics(self, fpr_limit: float) -> Draws:
        """Pixel metrics in each draw."""
        self._flush()
        pixels, positives, weights = self._sums
        negatives = pixels - positives
        values = (
            curves.auroc(positives, negatives),
            curves.average_precision(positives, negatives),
            curves.f1_max(positives, negatives),
            curves.aupro(weights, self._regions, negatives, fpr_limit),
        )
        return dict(zip(PIXEL_METRICS, values, strict=True))

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._starts is None:
            self._starts = _starts([picture for _, picture in self._waiting])
            self._sums = np.zeros((3, len(self._times), len(self._starts)))
        counts = np.stack([picture.coarse(self._starts) for _, picture in self._waiting], axis=1)  # [3,waiting,K]
        self._sums += self._times[:, [position for position, _ in self._waiting]] @ counts
        self._waiting = []


class _Sparse(NamedTuple):
    """One picture's histograms: fine bins that hold something [k], and what they hold [3,k]."""

    bins: NDArray[np.intp]
    rows: Floats

    @classmethod
    def of(cls, picture: "PixelHistogram") -> "_Sparse":
        bins = np.flatnonzero(picture.pixels)
        return cls(bins, np.stack([row[bins] for row in (picture.pixels, picture.positives, picture.weights)]))

    def coarse(self, starts: NDArray[np.intp]) -> Floats:
        """[3,K] over the coarse bins, highest first."""
        which = np.searchsorted(starts, self.bins, side="right") - 1
        return np.stack([np.bincount(which, row, minlength=len(starts))[::-1] for row in self.rows])


def _starts(sample: list[_Sparse]) -> NDArray[np.intp]:
    """First fine bin of each coarse one, rising from 0: quantiles of what the sample holds, and steps above it all."""
    bins, index = np.unique(np.concatenate([picture.bins for picture in sample]), return_inverse=True)
    pixels, positives, weights = (
        np.bincount(index, np.concatenate([picture.rows[row] for picture in sample])) for row in range(3)
    )
    edges = [np.zeros(1, dtype=np.intp), bins[-1:] + np.geomspace(1, 2**14, 32).astype(np.intp)]
    for mass in (pixels - positives, positives, weights):
        total = np.cumsum(mass)
        levels = np.linspace(0, total[-1], QUANTILES + 1)[1:-1]
        edges.append(bins[np.minimum(np.searchsorted(total, levels), len(bins) - 1)] + 1)
    return np.unique(np.concatenate(edges))


def interval(draws: Floats, value: float) -> tuple[float, float]:
    """The middle 95 % of draws [1+B] of a metric whose value is `value`.

    The value comes from finer bins than the draws; the interval is moved by what that makes, draws[0] against `value`.
    """
    tail = (1 - COVERED) / 2
    low, high = np.clip(np.nanquantile(draws[1:], [tail, 1 - tail]) + value - draws[0], 0, 1)
    return float(low), float(high)


def mean_draws(draws: Sequence[Floats]) -> Floats:
    """Mean of several [1+B], each where it has a value: a draw of few pictures may leave a metric without meaning."""
    known = np.sum(~np.isnan(draws), axis=0)
    return np.divide(np.nansum(draws, axis=0), known, out=np.full(known.shape, np.nan), where=known > 0)


def standard_error(draws: Floats) -> float:
    """Standard deviation of draws [1+B]."""
    return float(np.nanstd(draws[1:], ddof=1))
