"""What a defect renderer works on, and the helpers that place defects."""

from typing import NamedTuple

import cv2
import numpy as np

from zsad_synthetic.pretraining.world.fields import Array, Rng, blob, soft


class Canvas(NamedTuple):
    """A defect-free picture and what a defect may do to it."""

    picture: Array
    """[S, S, 3]."""
    region: Array
    """[S, S] in [0, 1]: where a defect may lie."""
    ground: Array
    """[S, S, 3]: what shows through holes and gaps."""
    foreign: Array
    """[S, S, 3]: another surface, for things that do not belong here."""


class Defect(NamedTuple):
    """A picture with one defect, and its exact extent."""

    picture: Array
    """[S, S, 3]."""
    extent: Array
    """[S, S] in [0, 1]."""


def place(rng: Rng, canvas: Canvas) -> tuple[float, float]:
    """A random point (x, y) inside the region."""
    small = cv2.resize(canvas.region, (44, 44), interpolation=cv2.INTER_AREA)
    inside = np.flatnonzero(small > 0.6)
    if not len(inside):
        inside = np.flatnonzero(small >= small.max())
    row, column = divmod(int(rng.choice(inside)), 44)
    step = len(canvas.region) / 44
    return (column + float(rng.uniform())) * step, (row + float(rng.uniform())) * step


def brink(rng: Rng, canvas: Canvas) -> tuple[float, float]:
    """A random point (x, y) on the outline of the region; inside it where the region has no outline."""
    small = cv2.resize(canvas.region, (44, 44), interpolation=cv2.INTER_AREA)
    edge = np.flatnonzero((small > 0.2) & (small < 0.8))
    if not len(edge):
        return place(rng, canvas)
    row, column = divmod(int(rng.choice(edge)), 44)
    step = len(canvas.region) / 44
    return (column + 0.5) * step, (row + 0.5) * step


def length(rng: Rng, canvas: Canvas, low: float, high: float) -> float:
    """A length in pixels, log-uniform between two shares of the region's extent; larger shares of small regions."""
    extent = float(np.clip(canvas.region.mean(), 0.02, 1)) ** 0.35 * len(canvas.region)
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))) * extent


def patch(
    rng: Rng,
    canvas: Canvas,
    low: float = 0.03,
    high: float = 0.2,
    edge: float = 1.5,
    at: tuple[float, float] | None = None,
) -> Array:
    """Coverage [S, S] of an irregular spot, anywhere in the region; radii as shares of the region's extent."""
    size, radius = len(canvas.picture), max(2.0, length(rng, canvas, low, high))
    return soft(blob(rng, size, radius, at or place(rng, canvas), rng.uniform(0.05, 0.5)), edge)


def contrast(rng: Rng, low: float = 0.12, high: float = 0.6) -> float:
    """A signed strength, mostly subtle."""
    return float(rng.choice([-1, 1]) * (low + (high - low) * rng.beta(1, 2)))
