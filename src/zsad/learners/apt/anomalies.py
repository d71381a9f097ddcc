"""Anomalies that APT makes for itself: noise and foreign texture on random regions of the object in a normal picture.

Part of the method in `__init__`. A region is the object's share of a union of rectangles, thin lines and
Perlin blobs. In training it gets Gaussian noise in cells of several sizes; two other families, a transplanted piece of
the picture and multiplicative noise, are held out to judge the meta-prompt. Ranges are a reconstruction
(docs/methods/apt.md). Pictures are float32 RGB [S, S, 3] in [0, 1], masks bool [S, S]; all numbers come from the
generator that is passed in.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Generator = np.random.Generator
Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]
Family = Callable[[Picture, Generator], Picture]

AREA = (0.002, 0.3)  # least and largest share of the picture that is anomalous
OBJECT_AREA = (0.05, 0.95)  # outside of it the picture is taken for a texture
ATTEMPTS = 10
SHAPES = 4  # at most, in one region
CELLS = (1, 4, 8, 16)  # sides of a cell of noise, in pixels at
CELL_SIDE = 240
SIGMA = (0.05, 0.5)
MEAN = (-0.3, 0.3)


@dataclass(frozen=True)
class Pool:
    """Synthetic pictures [n, S, S, 3], what is anomalous in them [n, S, S], and how often each family was drawn."""

    pictures: Picture
    masks: Mask
    used: Counter[str]

    @property
    def hash(self) -> str:
        """sha256 of pictures and masks: the same seed makes the same pool."""
        return hashlib.sha256(self.pictures.tobytes() + self.masks.tobytes()).hexdigest()


def object_mask(probability: NDArray[np.floating], gap: float) -> Mask:
    """Pixels that Otsu's threshold calls object in a map [S, S] of their probabilities; all of them for a texture.

    A texture is a picture whose object would fill less than 5 % or more than 95 %, or whose two sides differ by less
    than `gap` in mean probability: Otsu splits every picture, also one that has nothing to split.
    """
    span = np.ptp(probability)
    grey = np.rint(255 * (probability - probability.min()) / (span or 1.0)).astype(np.uint8)
    inside = grey > cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)[0]
    textured = not OBJECT_AREA[0] <= inside.mean() <= OBJECT_AREA[1]
    if textured or probability[inside].mean() - probability[~inside].mean() < gap:
        return np.ones_like(inside)
    return inside


def make_pool(picture: Picture, inside: Mask, count: int, families: Sequence[Family], rng: Generator) -> Pool:
    """`count` variants of a normal picture, each with one anomaly on the object `inside`."""
    pictures, masks, used = [], [], Counter[str]()
    for _ in range(count):
        mask, names = region(inside, rng)
        family = families[int(rng.integers(len(families)))]
        pictures.append(np.where(mask[..., None], np.clip(family(picture, rng), 0, 1), picture).astype(np.float32))
        masks.append(mask)
        used.update([*names, family.__name__])
    return Pool(np.stack(pictures), np.stack(masks), used)


def region(inside: Mask, rng: Generator) -> tuple[Mask, list[str]]:
    """A random part of the object, 0.2 % to 30 % of the picture, and the names of its shapes."""
    for _ in range(ATTEMPTS):
        drawn = [DRAWN[int(rng.integers(len(DRAWN)))] for _ in range(rng.integers(1, SHAPES + 1))]
        mask = inside & np.any([shape(inside, rng) for shape in drawn], axis=0)
        if AREA[0] <= mask.mean() <= AREA[1]:
            return mask, [shape.__name__ for shape in drawn]
    return _last_resort(inside, rng), ["last_resort"]


def rectangle(inside: Mask, rng: Generator) -> Mask:
    """Sides of 5 % to 40 % of the picture's, centred on the object."""
    side = len(inside)
    height, width = (max(1, round(side * rng.uniform(0.05, 0.4))) for _ in range(2))
    return _box(side, _centre(inside, rng), height, width)


def line(inside: Mask, rng: Generator) -> Mask:
    """A stroke 20 % to 60 % long and 1 % to 3 % thick at a random angle, centred on the object."""
    side, (y, x) = len(inside), _centre(inside, rng)
    half, angle = side * rng.uniform(0.2, 0.6) / 2, rng.uniform(0, np.pi)
    dy, dx = half * np.sin(angle), half * np.cos(angle)
    canvas = np.zeros((side, side), np.uint8)
    begin, end = ((round(x + sign * dx), round(y + sign * dy)) for sign in (-1, 1))
    return cv2.line(canvas, begin, end, 1, max(1, round(side * rng.uniform(0.01, 0.03)))).astype(bool)


def blob(inside: Mask, rng: Generator) -> Mask:
    """Where Perlin noise of 1, 2, 4 or 8 cells an axis exceeds one half."""
    return perlin(len(inside), tuple(2 ** rng.integers(0, 4, 2)), rng) > 0.5


DRAWN = (rectangle, line, blob)


def perlin(side: int, cells: tuple[int, int], rng: Generator) -> NDArray[np.floating]:
    """Gradient noise [S, S], about −1 to 1, with `cells` cells along each axis (Perlin 2002)."""
    angle = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1))
    y, x = (np.arange(side) * n / side for n in cells)
    iy, ix = y.astype(int), x.astype(int)
    fy, fx = (y - iy)[:, None], x - ix
    total = np.zeros((side, side))
    for dy in (0, 1):
        for dx in (0, 1):
            near = angle[iy + dy][:, ix + dx]
            total += (np.sin(near) * (fy - dy) + np.cos(near) * (fx - dx)) * _fade(fy, dy) * _fade(fx, dx)
    return np.sqrt(2) * total


def gaussian_noise(picture: Picture, rng: Generator) -> Picture:
    """x + n."""
    return picture + _noise(len(picture), rng)


def multiplicative_noise(picture: Picture, rng: Generator) -> Picture:
    """x · (1 + n)."""
    return picture * (1 + _noise(len(picture), rng))


def transplant(picture: Picture, rng: Generator) -> Picture:
    """The picture after one to three quarter turns, moved by at least an eighth of its side along each axis, cyclic."""
    side = len(picture)
    moved = np.roll(picture, rng.integers(side // 8, side - side // 8, 2), axis=(0, 1))
    return np.rot90(moved, int(rng.integers(1, 4)))


TRAINING: tuple[Family, ...] = (gaussian_noise,)
HELD_OUT: tuple[Family, ...] = (transplant, multiplicative_noise)


def _noise(side: int, rng: Generator) -> Picture:
    """N(μ, σ²) in square cells, grey or per channel; μ = 0 every second time: [S, S, 3]."""
    cell = max(1, round(CELLS[rng.integers(len(CELLS))] * side / CELL_SIDE))
    mean = rng.uniform(*MEAN) if rng.random() < 0.5 else 0.0
    channels = 3 if rng.random() < 0.5 else 1
    count = -(-side // cell)
    drawn = mean + rng.uniform(*SIGMA) * rng.standard_normal((count, count, channels), dtype=np.float32)
    enlarged = np.repeat(np.repeat(drawn, cell, axis=0), cell, axis=1)[:side, :side]
    return np.broadcast_to(enlarged, (side, side, 3))


def _last_resort(inside: Mask, rng: Generator) -> Mask:
    """A square around a pixel of the object, grown until it covers enough of it."""
    centre = _centre(inside, rng)
    for extent in range(max(1, len(inside) // 20), 2 * len(inside)):
        mask = inside & _box(len(inside), centre, extent, extent)
        if mask.mean() >= AREA[0]:
            return mask
    raise AssertionError("an object fills at least 5 % of its picture")


def _centre(inside: Mask, rng: Generator) -> tuple[int, int]:
    pixels = np.flatnonzero(inside)
    y, x = divmod(int(pixels[rng.integers(len(pixels))]), inside.shape[1])
    return y, x


def _box(side: int, centre: tuple[int, int], height: int, width: int) -> Mask:
    top, left = max(0, centre[0] - height // 2), max(0, centre[1] - width // 2)
    mask = np.zeros((side, side), bool)
    mask[top : centre[0] - height // 2 + height, left : centre[1] - width // 2 + width] = True
    return mask


def _fade(t: NDArray[np.floating], corner: int) -> NDArray[np.floating]:
    """Weight of a corner of the cell at distance `t` from its lower side: Perlin's 6t⁵ − 15t⁴ + 10t³."""
    rise = t**3 * (t * (6 * t - 15) + 10)
    return rise if corner else 1 - rise
