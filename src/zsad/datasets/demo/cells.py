"""Cellular patterns: irregular grains from scattered points, and the regular honeycomb."""

from dataclasses import dataclass

import numpy as np

from zsad.datasets.demo.canvas import QUARTER, SIDE
from zsad.datasets.demo.numbers import Dice, length

_FAR = 1 << 20


@dataclass(frozen=True)
class Cells:
    """Per canvas pixel: distance to the nearest point, how much further the second is (0 on borders), and its number."""

    nearest: np.ndarray
    border: np.ndarray
    number: np.ndarray

    def per_cell(self, dice: Dice, low: int, high: int) -> np.ndarray:
        """One random integer per cell, spread over its pixels."""
        return dice.rolls(low, high, (int(self.number.max()) + 1,))[self.number]


def scattered(dice: Dice, x: np.ndarray, y: np.ndarray, pitch: int) -> Cells:
    """Cells around points scattered one per square of `pitch` quarter pixels in the plane of (x, y)."""
    across = 2 * SIDE * QUARTER * 2 // pitch + 4
    jitter = dice.rolls(pitch // 8, pitch - pitch // 8, (2, across, across))
    column, row = x // pitch + across // 2, y // pitch + across // 2
    return _nearest_two(
        (column + i, row + j, jitter, pitch, across, x, y) for i in (-1, 0, 1) for j in (-1, 0, 1)
    )


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
            distance = length(x - (column + i) * pitch - shift, y - (row + j) * high)
            found.append((distance, (row + j + across // 2) * across + column + i + across // 2))
    return _two_smallest(found)


def _nearest_two(neighbours) -> Cells:
    found = []
    for column, row, jitter, pitch, across, x, y in neighbours:
        i, j = column % across, row % across
        left, top = (column - across // 2) * pitch, (row - across // 2) * pitch
        found.append((length(x - left - jitter[0, j, i], y - top - jitter[1, j, i]), j * across + i))
    return _two_smallest(found)


def _two_smallest(found: list[tuple[np.ndarray, np.ndarray]]) -> Cells:
    first = np.full_like(found[0][0], _FAR)
    second, number = first.copy(), np.zeros_like(first)
    for distance, index in found:
        closer = distance < first
        second = np.where(closer, first, np.minimum(second, distance))
        number = np.where(closer, index, number)
        first = np.where(closer, distance, first)
    return Cells(first, second - first, number)
