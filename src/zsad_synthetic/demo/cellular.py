"""Cellular patterns: irregular grains from scattered points, and the regular honeycomb."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zsad_synthetic.demo.canvas import QUARTER, SIDE
from zsad_synthetic.demo.integer_math import Dice, root

_FAR = 1 << 30


@dataclass(frozen=True)
class Cells:
    """Per canvas pixel: distance to the nearest point, how much further the second is (0 on borders), its number."""

    nearest: np.ndarray
    border: np.ndarray
    number: np.ndarray

    def per_cell(self, dice: Dice, low: int, high: int) -> np.ndarray:
        """One random integer per cell, spread over its pixels."""
        return dice.rolls(low, high, (int(self.number.max()) + 1,))[self.number]


def scattered(dice: Dice, x: np.ndarray, y: np.ndarray, pitch: int) -> Cells:
    """Cells around points scattered one per square of `pitch` quarter pixels in the plane of (x, y)."""
    left, top = int(x.min()) // pitch, int(y.min()) // pitch
    across, down = int(x.max()) // pitch - left + 3, int(y.max()) // pitch - top + 3
    jitter = dice.rolls(pitch // 8, pitch - pitch // 8, (2, down, across))
    points_x = (jitter[0] + np.arange(left - 1, left - 1 + across, dtype=np.int32) * pitch).ravel()
    points_y = (jitter[1] + np.arange(top - 1, top - 1 + down, dtype=np.int32)[:, None] * pitch).ravel()
    home = (y // pitch - top + 1) * across + x // pitch - left + 1
    neighbours = [home + row * across + column for row in (-1, 0, 1) for column in (-1, 0, 1)]
    return _two_nearest((_square(x - points_x[number], y - points_y[number]), number) for number in neighbours)


def hexagonal(x: np.ndarray, y: np.ndarray, pitch: int) -> Cells:
    """Regular hexagons `pitch` quarter pixels apart (rows are 7/8 pitch apart: sqrt(3)/2 within 1 %)."""
    across = 2 * SIDE * QUARTER * 2 // pitch + 6
    high = pitch * 7 // 8
    row = y // high
    found = []
    for j in (-1, 0, 1):
        shift = ((row + j) & 1) * (pitch // 2)
        column = (x - shift) // pitch
        for i in (0, 1):
            square = _square(x - (column + i) * pitch - shift, y - (row + j) * high)
            found.append((square, (row + j + across // 2) * across + column + i + across // 2))
    return _two_nearest(found)


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x * x + y * y


def _two_nearest(points: Iterable[tuple[np.ndarray, np.ndarray]]) -> Cells:
    """The two smallest of the squared distances to numbered points."""
    first: np.ndarray | None = None
    for square, index in points:
        if first is None:
            first, second, number = square, np.full_like(square, _FAR), index.copy()
            continue
        closer = square < first
        np.minimum(second, np.maximum(first, square), out=second)
        np.copyto(number, index, where=closer)
        first = np.minimum(first, square)
    assert first is not None
    nearest = root(first)
    return Cells(nearest, root(second) - nearest, number)
