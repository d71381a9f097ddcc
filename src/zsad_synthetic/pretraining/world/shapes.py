"""Signed shapes in unit coordinates, and how a set of painted shapes becomes a solid object.

A shape is a field [S, S], positive inside, about the distance to the outline in units of half the picture side.
"""

from typing import NamedTuple

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
    relief,
    rotated,
    shade,
    soft,
)


class Solid(NamedTuple):
    """An object cut out of its background."""

    picture: Array
    """[S, S, 3]; meaningful where coverage is positive."""
    coverage: Array
    """[S, S] in [0, 1]."""


class Part(NamedTuple):
    """A shape with its colour [3] or material [S, S, 3]; `None` cuts a hole through everything below."""

    shape: Array
    tint: Array | None


def disc(x: Array, y: Array, cx: float, cy: float, radius: float, aspect: float = 1.0) -> Array:
    """An ellipse; `aspect` stretches it along y."""
    return radius - np.hypot(x - cx, (y - cy) / aspect)


def box(x: Array, y: Array, cx: float, cy: float, width: float, height: float, corner: float = 0.02) -> Array:
    """A rounded rectangle of half-sizes width, height."""
    dx, dy = np.abs(x - cx) - width + corner, np.abs(y - cy) - height + corner
    return corner - np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) - np.minimum(np.maximum(dx, dy), 0)


def polygon(x: Array, y: Array, sides: int, radius: float) -> Array:
    """A regular polygon about the origin."""
    angle = np.arctan2(y, x)
    sector = 2 * np.pi / sides
    return radius - np.hypot(x, y) * np.cos((angle + sector / 2) % sector - sector / 2)


def ridge(x: Array, y: Array, cx: float, cy: float, radius: float, width: float) -> Array:
    """A circular line."""
    return width - np.abs(np.hypot(x - cx, y - cy) - radius)


def lobed(rng: Rng, x: Array, y: Array, radius: float, rough: float) -> Array:
    """An irregular round outline."""
    angle, bend = np.arctan2(y, x), np.zeros_like(x)
    for k in range(2, 9):
        bend = bend + np.float32(rng.normal(0, rough / k)) * np.cos(k * angle + np.float32(rng.uniform(0, 6.3)))
    return radius * (1 + bend) - np.hypot(x, y)


def frame(rng: Rng, size: int, upright: bool = False) -> tuple[Array, Array]:
    """Object coordinates: slightly or freely turned, the object filling a varying share of the picture."""
    x, y = grid(size)
    zoom = rng.uniform(0.75, 1.5)
    angle = rng.normal(0, 0.08) if upright else rng.uniform(0, 6.3)
    return rotated((x - np.float32(rng.normal(0, 0.05))) * zoom, (y - np.float32(rng.normal(0, 0.05))) * zoom, angle)


def assemble(rng: Rng, size: int, parts: list[Part], gloss: float = 0.5) -> Solid:
    """Paint the parts one over the other, give each a rounded edge and a little texture, light them from one side."""
    light = rng.uniform(0, 6.3)
    bevel, rough = rng.uniform(2, 12), rng.uniform(0.01, 0.07)
    texture = fractal(rng, size, rng.uniform(0.3, 1.5)) * 0.8 + grain(rng, size) * 0.4
    picture: Array = np.zeros((size, size, 3), np.float32)
    coverage: Array = np.zeros((size, size), np.float32)
    for shape, tint in parts:
        alpha = soft(shape * (size / 2))
        if tint is None:
            coverage = coverage * (1 - alpha)
            continue
        at = _extent(alpha)
        field = texture[at] * rough + _edge_light(alpha[at], bevel, light) * gloss
        picture[at] = paint(picture[at], shade(tint if tint.ndim == 1 else tint[at], field, 1), alpha[at])
        coverage = np.maximum(coverage, alpha)
    return Solid(picture, coverage)


def _extent(alpha: Array, margin: int = 6) -> tuple[slice, slice]:
    """The window [rows, columns] that holds a part and the blur of its edge."""
    left, top, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    return slice(max(0, top - margin), top + height + margin), slice(max(0, left - margin), left + width + margin)


def _edge_light(alpha: Array, bevel: float, light: float) -> Array:
    depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    rim = 1 - np.minimum(depth, bevel) / bevel
    return relief(cv2.GaussianBlur(bevel * (1 - rim**2), (0, 0), 1), light) * 0.12


def tints(rng: Rng, count: int, saturation: float = 0.8) -> list[Array]:
    """Colours for the parts of one object."""
    return [colour(rng, saturation, 0.1, 0.95) for _ in range(count)]


METAL, WOODEN, GOLDEN = (np.array(c, np.float32) for c in ((0.55, 0.55, 0.57), (0.6, 0.42, 0.25), (0.8, 0.6, 0.32)))


def tone(rng: Rng, base: Array) -> Array:
    """A lighter or darker version of a material's colour."""
    return np.clip(base * rng.uniform(0.55, 1.35) + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)
