"""Further medical-like slices and films: spine, kidney, jaw, cells.

A renderer takes a generator and a size and returns a `Solid`: the healthy picture, and where its anatomy lies.
"""

import cv2
import numpy as np

from zsad_synthetic.pretraining.world.fields import (
    Array,
    Rng,
    colour,
    fractal,
    grain,
    grid,
    paint,
    rotated,
    shade,
    soft,
)
from zsad_synthetic.pretraining.world.shapes import Solid, box, disc, lobed


def _grey(field: Array) -> Array:
    return np.clip(np.stack([field] * 3, -1), 0, 1).astype(np.float32)


def _laid(rng: Rng, size: int, spread: float = 0.1) -> tuple[Array, Array]:
    x, y = grid(size)
    zoom, (dx, dy) = np.float32(rng.uniform(0.85, 1.35)), rng.normal(0, 0.06, 2).astype(np.float32)
    return rotated((x - dx) * zoom, (y - dy) * zoom, rng.normal(0, spread))


def spine(rng: Rng, size: int) -> Solid:
    """A sagittal MR slice: a curved column of grey blocks with darker discs, a bright canal behind it."""
    x, y = _laid(rng, size)
    bow, pitch = rng.uniform(-0.25, 0.25), rng.uniform(0.22, 0.34)
    u = x + bow * np.cos(y * rng.uniform(1.5, 3)) + 0.01 * fractal(rng, size, 1.3)
    v = (y + rng.uniform(0, 1)) % pitch - pitch / 2
    blocks = box(u, v, 0, 0, rng.uniform(0.16, 0.24), pitch * rng.uniform(0.32, 0.4), 0.05) * size / 2
    canal = (rng.uniform(0.05, 0.09) - np.abs(u - 0.36)) * size / 2
    mottle = fractal(rng, size, 0.9, 4)
    column = soft((0.26 - np.abs(u)) * size / 2, 3)
    field = 0.16 + 0.06 * mottle + column * rng.uniform(-0.1, 0.15)
    field = field + soft(blocks, 2) * (rng.uniform(0.2, 0.45) + 0.04 * mottle) + soft(canal, 3) * rng.uniform(0.1, 0.5)
    return Solid(_grey(field + 0.02 * grain(rng, size)), np.maximum(soft(blocks), np.maximum(column, soft(canal))))


def kidney(rng: Rng, size: int) -> Solid:
    """Two bean-shaped organs in a body slice, each with a paler middle."""
    x, y = _laid(rng, size)
    body = lobed(rng, x, y * rng.uniform(1.1, 1.4), 0.92, 0.04) * size / 2
    u, v = rotated(np.abs(x) - 0.45, y - rng.uniform(-0.1, 0.2), rng.uniform(-0.4, 0.4))
    bean = lobed(rng, u - 0.5 * v**2, v * 0.7, rng.uniform(0.2, 0.27), 0.06) * size / 2
    middle = lobed(rng, u + 0.08, v * 0.8, 0.09, 0.2) * size / 2
    field = soft(body) * (rng.uniform(0.2, 0.4) + 0.05 * fractal(rng, size, 0.9, 4))
    field = field + soft(bean, 3) * rng.uniform(0.12, 0.35) + soft(middle, 3) * rng.uniform(-0.15, 0.15)
    return Solid(_grey(field + rng.uniform(0.01, 0.05) * grain(rng, size)), soft(bean))


def prostate(rng: Rng, size: int) -> Solid:
    """A walnut-shaped gland: a pale outer zone about a mottled middle, in dim surroundings."""
    x, y = _laid(rng, size)
    gland = lobed(rng, np.abs(x), y * rng.uniform(1, 1.3), rng.uniform(0.5, 0.75), 0.05) * size / 2
    middle = lobed(rng, np.abs(x), (y + 0.12) * 1.2, rng.uniform(0.3, 0.42), 0.1) * size / 2
    surroundings = 0.22 + 0.09 * fractal(rng, size, 1.0, 3)
    zone = rng.uniform(0.45, 0.75) - soft(middle, 4) * (rng.uniform(0.1, 0.3) + 0.06 * fractal(rng, size, 0.6, 6))
    capsule = soft(2.5 - np.abs(gland)) * rng.uniform(0, 0.3)
    return Solid(_grey(paint(_grey(surroundings), zone[..., None], soft(gland, 3))[..., 0] - capsule), soft(gland - 4))


def jaw(rng: Rng, size: int) -> Solid:
    """A dental film: two facing rows of pale pegs with darker cores."""
    x, y = _laid(rng, size, 0.05)
    y = y + rng.uniform(-0.3, 0.3) * x**2
    pitch = rng.uniform(0.3, 0.5)
    u = (x + 0.5 * pitch * (y > 0) + 1) % pitch - pitch / 2
    v = np.abs(y) - rng.uniform(0.42, 0.5)
    width = pitch * (0.44 - 0.25 * np.clip(v + 0.1, 0, 1))
    peg = np.minimum(width - np.abs(u), 0.38 - np.abs(v)) * size / 2
    gum = soft((v + 0.05) * size / 2, 20)
    field = 0.1 + gum * (0.22 + 0.05 * fractal(rng, size, 0.5, 8))
    field = field + soft(peg, 3) * rng.uniform(0.3, 0.5) - soft(peg - 0.28 * pitch * size / 2, 3) * 0.15
    return Solid(_grey(field + 0.02 * grain(rng, size, 0.7)), np.maximum(soft(peg), gum))


def cell_culture(rng: Rng, size: int) -> Solid:
    """Spread-out cells with dots in the middle, on a plain ground."""
    ground = colour(rng, 0.4, 0.1, 0.9)
    picture = shade(np.broadcast_to(ground, (size, size, 3)), fractal(rng, size, 1.4), 0.05)
    seeds = np.full((size, size), 255, np.uint8)
    count = int(rng.integers(8, 40))
    seeds[tuple(rng.integers(0, size, (2, count)))] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 5) + rng.uniform(0.5, 3) * fractal(rng, size, 0.9, 6)
    body = rng.uniform(8, 18) - distance
    picture = paint(picture, colour(rng, 0.7), soft(body, 3) * rng.uniform(0.3, 0.7))
    dark = picture.mean((0, 1)) * np.float32(rng.uniform(0.2, 0.6))
    return Solid(paint(picture, dark, soft(rng.uniform(2, 4) - distance, 2)), np.ones((size, size), np.float32))


def heart(rng: Rng, size: int) -> Solid:
    """A short-axis MR slice: a bright chamber in a dark muscular wall, a crescent beside it."""
    x, y = _laid(rng, size, 1.0)
    chamber = disc(x, y, 0, 0, rng.uniform(0.16, 0.28), rng.uniform(0.9, 1.1)) * size / 2
    wall = lobed(rng, x, y, rng.uniform(0.36, 0.48), 0.03) * size / 2
    crescent = np.minimum(lobed(rng, x + 0.35, y, 0.42, 0.08) * size / 2, -wall)
    around = 0.3 + 0.12 * fractal(rng, size, 1.0, 3)
    field = around + soft(crescent, 3) * (rng.uniform(0.5, 0.8) - around)
    field = field + soft(wall, 3) * (rng.uniform(0.12, 0.3) - field) + soft(chamber, 3) * rng.uniform(0.35, 0.6)
    return Solid(_grey(field + 0.03 * grain(rng, size, 0.6)), np.maximum(soft(wall), soft(crescent)))


RENDERERS = {
    "spine": spine,
    "kidney": kidney,
    "prostate": prostate,
    "jaw": jaw,
    "cell culture": cell_culture,
    "heart": heart,
}
