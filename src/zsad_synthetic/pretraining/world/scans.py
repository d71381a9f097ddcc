"""Medical-like pictures: slices, ultrasound, endoscopy, skin.

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
    strokes,
    wander,
    wave,
)
from zsad_synthetic.pretraining.world.shapes import Solid, disc, lobed


def _grey(field: Array) -> Array:
    return np.clip(np.stack([field] * 3, -1), 0, 1).astype(np.float32)


def _centred(rng: Rng, size: int) -> tuple[Array, Array]:
    x, y = grid(size)
    zoom = rng.uniform(0.95, 1.35)
    return rotated(
        (x - np.float32(rng.normal(0, 0.04))) * zoom, (y - np.float32(rng.normal(0, 0.04))) * zoom, rng.normal(0, 0.1)
    )


def brain(rng: Rng, size: int) -> Solid:
    """An axial MR slice: skull, folded grey and white matter, ventricles."""
    x, y = _centred(rng, size)
    x = np.abs(x) * rng.uniform(1.05, 1.35)
    outline = lobed(rng, x, y, 0.85, 0.03) * size / 2
    folds = np.sin(fractal(rng, size, 0.9, 5) * rng.uniform(2, 4))
    fluid = np.maximum(disc(x, y, 0.12, -0.1, 0.09, 2.2), disc(x, y, 0.1, 0.2, 0.06, 2.0)) * size / 2
    tissue = rng.uniform(0.3, 0.6) + rng.uniform(0.04, 0.12) * folds * soft(30 - outline, 20)
    tissue = tissue + (rng.choice([-0.25, 0.3]) * soft(fluid, 3)) - 0.15 * soft(0.012 - x, 0.02)
    skull = soft(outline) * soft(6 - outline, 3) * rng.uniform(0.2, 0.7) - 0.5 * soft(outline - 6, 3) * soft(
        11 - outline, 3
    )
    picture = tissue * soft(outline - 4, 2) + skull + rng.uniform(0, 0.04) * grain(rng, size, 0.7)
    return Solid(_grey(picture), soft(outline - 12))


def head_ct(rng: Rng, size: int) -> Solid:
    """An axial CT slice: bright skull ring, even brain."""
    x, y = _centred(rng, size)
    outline = lobed(rng, x * rng.uniform(1.1, 1.35), y, 0.85, 0.02) * size / 2
    bone = soft(outline) * soft(rng.uniform(6, 11) - outline, 2)
    fluid = disc(np.abs(x), y, 0.1, -0.05, 0.08, 2.2) * size / 2
    inside = rng.uniform(0.3, 0.5) + 0.03 * fractal(rng, size, 0.8) - 0.12 * soft(fluid, 4)
    return Solid(_grey(inside * soft(outline) * (1 - bone) + bone * 0.95 + 0.02 * grain(rng, size)), soft(outline - 14))


def lung_ct(rng: Rng, size: int) -> Solid:
    """A chest slice: two dark lungs with vessels in a grey body."""
    x, y = _centred(rng, size)
    body = lobed(rng, x, y * 1.3, 0.9, 0.03) * size / 2
    lungs = lobed(rng, np.abs(x) - 0.43, y * 0.75 + 0.05, 0.33, 0.08) * size / 2
    vessels = soft(fractal(rng, size, 0.5, 10) - rng.uniform(1.3, 2), 0.5) * rng.uniform(0.1, 0.4)
    field = soft(body) * (0.5 + 0.04 * fractal(rng, size, 0.8)) * (1 - soft(lungs, 2)) + soft(lungs, 2) * (
        0.12 + vessels
    )
    return Solid(_grey(field + 0.03 * grain(rng, size)), soft(lungs))


def abdomen_ct(rng: Rng, size: int) -> Solid:
    """Soft organs of slightly different grey, as a liver slice."""
    x, y = _centred(rng, size)
    body = lobed(rng, x, y * 1.25, 0.9, 0.03) * size / 2
    field = soft(body) * (0.35 + 0.03 * fractal(rng, size, 0.8))
    liver = lobed(rng, x + 0.3, y * 1.2 + 0.1, 0.42, 0.15) * size / 2
    field = field + 0.15 * soft(liver, 2)
    for _ in range(5):
        cx, cy = rng.uniform(-0.5, 0.5, 2)
        field = field + rng.uniform(-0.12, 0.2) * soft(
            lobed(rng, x - cx, y - cy, rng.uniform(0.08, 0.2), 0.2) * size / 2, 2
        ) * soft(body - 8)
    return Solid(_grey(field + 0.03 * grain(rng, size, 0.6)), soft(liver))


def ultrasound(rng: Rng, size: int) -> Solid:
    """Layered speckle in a fan or a rectangle."""
    x, y = grid(size)
    layers = np.cos(y * rng.uniform(3, 10) + fractal(rng, size, 1.3, 2, stretch=0.5) * 0.8)
    level = 0.3 + 0.1 * layers + 0.1 * fractal(rng, size, 1)
    field = level * np.abs(1 + rng.uniform(0.3, 0.7) * grain(rng, size, rng.uniform(0.6, 1.5)))
    fan = soft((0.95 - np.hypot(x * 0.9, y + 1.1) / 2.1) * size) * soft((y + 1.3 - np.abs(x) * 1.1) * size)
    shape = fan if rng.random() < 0.5 else np.ones_like(fan)
    return Solid(_grey(field * shape), shape)


def endoscopy(rng: Rng, size: int) -> Solid:
    """Wet pink mucosa: folds, vessels, highlights, a dark lumen."""
    x, y = grid(size)
    base = np.array([0.75, 0.42, 0.35], np.float32) * rng.uniform(0.7, 1.2)
    depth = np.hypot(x - rng.uniform(-0.6, 0.6), y - rng.uniform(-0.6, 0.6))
    folds = wave(depth * rng.uniform(1, 3) + fractal(rng, size, 1.4) * 0.12, 0.5, 2) - 0.5
    picture = shade(np.broadcast_to(base, (size, size, 3)), 0.35 * folds + 0.5 * (np.minimum(depth, 1) - 0.7), 1)
    vessels = strokes(size, [wander(rng, rng.uniform(0, size, 2), rng.uniform(0, 6.3), 60, 0.2) for _ in range(8)], 0.8)
    picture = paint(picture, base * np.array([0.8, 0.4, 0.4], np.float32), vessels * rng.uniform(0, 0.6))
    glints = soft(fractal(rng, size, 0.6, 6) - rng.uniform(2.2, 3), 0.3)
    view = soft((rng.uniform(0.95, 1.5) - np.hypot(x, y)) * size)
    return Solid(paint(picture, np.ones(3, np.float32), glints * 0.8) * view[..., None], view)


def skin(rng: Rng, size: int) -> Solid:
    """Skin under a dermatoscope: pores, hairs, often a dark vignette; no lesion."""
    x, y = grid(size)
    base = np.array([0.85, 0.66, 0.56], np.float32) * rng.uniform(0.6, 1.12) + rng.normal(0, 0.03, 3)
    field = 0.05 * fractal(rng, size, 1.2) + 0.02 * grain(rng, size, 1)
    picture = shade(np.broadcast_to(base.astype(np.float32), (size, size, 3)), field, 1)
    hairs = [
        wander(rng, rng.uniform(0, size, 2), rng.uniform(0, 6.3), 90, 0.06) for _ in range(int(rng.integers(0, 12)))
    ]
    if hairs:
        picture = paint(picture, base.astype(np.float32) * 0.3, strokes(size, hairs, rng.uniform(0.5, 1.4)) * 0.8)
    view = soft((rng.uniform(1.0, 1.6) - np.hypot(x, y)) * size, rng.uniform(1, 40))
    return Solid(picture * view[..., None], view)


def mammogram(rng: Rng, size: int) -> Solid:
    """A bright fibrous half disc on black."""
    x, y = grid(size)
    outline = (0.9 - np.hypot((x + 1) * rng.uniform(0.55, 0.8), y * rng.uniform(0.8, 1.1))) * size / 2
    fibres = fractal(rng, size, 1.0, 3) * 0.1 + cv2.GaussianBlur(soft(outline), (0, 0), 12) * 0.5
    return Solid(_grey(fibres * soft(outline, 3) + 0.02 * grain(rng, size)), soft(outline - 8))


def blood_cells(rng: Rng, size: int) -> Solid:
    """Pale smear with round cells."""
    base, cell = colour(rng, 0.3, 0.75, 0.95), np.array([0.8, 0.45, 0.5], np.float32) * rng.uniform(0.7, 1.2)
    picture = shade(np.broadcast_to(base, (size, size, 3)), fractal(rng, size, 1.5), 0.03)
    seeds = np.full((size, size), 255, np.uint8)
    seeds[tuple(rng.integers(0, size, (2, int(rng.integers(15, 60)))))] = 0
    depth = rng.uniform(5, 11) + fractal(rng, size, 1, 8) * 0.5 - cv2.distanceTransform(seeds, cv2.DIST_L2, 5)
    return Solid(
        paint(picture, cell, soft(depth) * (0.7 - 0.4 * soft(depth - 4, 4))), np.ones((size, size), np.float32)
    )


RENDERERS = {
    "brain": brain,
    "head ct": head_ct,
    "lung ct": lung_ct,
    "liver": abdomen_ct,
    "ultrasound": ultrasound,
    "colon": endoscopy,
    "skin": skin,
    "mammogram": mammogram,
    "blood smear": blood_cells,
}
