"""Outlines of composed objects: signed fields [S, S] in unit coordinates, positive inside.

An outline takes a generator, coordinates x, y and half-sizes w, h.
"""

import numpy as np

from zsad_synthetic.pretraining.world.fields import Array, Rng
from zsad_synthetic.pretraining.world.shapes import box, lobed, polygon


def slab(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """A rounded rectangle, from sharp corners to a capsule."""
    return box(x, y, 0, 0, w, h, min(w, h) * rng.choice([0.05, 0.2, 0.5, 1.0]))


def oval(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """A superellipse between a diamond-like and a box-like one."""
    power = np.float32(rng.uniform(1.4, 5))
    return (1 - (np.abs(x / w) ** power + np.abs(y / h) ** power) ** (1 / power)) * min(w, h)


def facets(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """A regular polygon of three to eight sides."""
    return polygon(x, y * (w / h), int(rng.integers(3, 9)), w * 0.9)


def waves(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """Two to five soft lobes."""
    y = y * (w / h)
    swing = 1 + rng.uniform(0.04, 0.22) * np.cos(int(rng.integers(2, 6)) * np.arctan2(y, x))
    return w * 0.85 * swing - np.hypot(x, y)


def pebbly(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """A mirrored or free irregular outline."""
    return lobed(rng, np.abs(x) if rng.random() < 0.5 else x, y * (w / h), w * 0.85, rng.uniform(0.05, 0.3))


def turned(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """A profile as from a lathe: the half-width changes along the axis, smoothly or in steps."""
    knots = rng.uniform(0.55, 1, int(rng.integers(3, 7)))
    at = (np.clip(y[:, :1] if y.strides[1] == 0 else y, -h, h) / h + 1) / 2 * (len(knots) - 1)
    if rng.random() < 0.5:
        at = np.floor(at) + np.clip((at % 1 - 0.5) * 6 + 0.5, 0, 1)
    width = np.interp(at, np.arange(len(knots)), knots).astype(np.float32) * w
    return np.minimum(width - np.abs(x), h - np.abs(y))


def wedge(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """A trapezium."""
    return np.minimum(w * (1 + rng.uniform(-0.4, 0.4) * y / h) - np.abs(x), h - np.abs(y))


def cross(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """Two crossing bars."""
    a, b = rng.uniform(0.3, 0.6, 2)
    return np.maximum(box(x, y, 0, 0, w, h * a, 0.05), box(x, y, 0, 0, w * b, h, 0.05))


def profile(rng: Rng, x: Array, y: Array, w: float, h: float) -> Array:
    """An L, T or U of bars."""
    thick, form = min(w, h) * rng.uniform(0.22, 0.4), rng.integers(3)
    foot = box(x, y, 0, h - thick, w, thick, thick * 0.4)
    if form == 0:
        return np.maximum(foot, box(x, y, thick - w, 0, thick, h, thick * 0.4))
    if form == 1:
        return np.maximum(foot, box(x, y, 0, 0, thick, h, thick * 0.4))
    return np.maximum(foot, box(np.abs(x), y, w - thick, 0, thick, h, thick * 0.4))
