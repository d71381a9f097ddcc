"""Defects of form: material that is missing, moved or out of shape. And growths in medical-like pictures.

A renderer takes a generator and a `Canvas` and returns a `Defect`.
"""

import cv2
import numpy as np

from zsad_synthetic.pretraining.world.canvas import Canvas, Defect, brink, contrast, length, patch, place
from zsad_synthetic.pretraining.world.fields import (
    Array,
    Rng,
    fractal,
    grain,
    grid,
    paint,
    relief,
    rotated,
    shade,
    soft,
    warp,
)


def hole(rng: Rng, canvas: Canvas) -> Defect:
    """A round opening with a lit rim."""
    extent = patch(rng, canvas, 0.03, 0.13)
    rim = shade(canvas.picture, relief(extent * 6, rng.uniform(0, 6.3)), 0.15)
    inside = canvas.ground if rng.random() < 0.5 else canvas.picture * rng.uniform(0.05, 0.4)
    return Defect(paint(rim, inside, extent), extent)


def tear(rng: Rng, canvas: Canvas) -> Defect:
    """A long ragged opening."""
    size = len(canvas.picture)
    cx, cy = place(rng, canvas)
    x, y = grid(size)
    x, y = rotated((x + 1) * size / 2 - cx, (y + 1) * size / 2 - cy, rng.uniform(0, 6.3))
    reach = length(rng, canvas, 0.08, 0.35)
    width = reach * rng.uniform(0.08, 0.3) * (1 - (x / reach) ** 2) + fractal(rng, size, 0.5, 12)
    extent = soft(np.minimum(width - np.abs(y), reach - np.abs(x)))
    return Defect(paint(shade(canvas.picture, cv2.GaussianBlur(extent, (0, 0), 2), 0.4), canvas.ground, extent), extent)


def missing_part(rng: Rng, canvas: Canvas) -> Defect:
    """A piece gone, from the outline or within, its place filled with the ground or with a bare even tone."""
    at = brink(rng, canvas) if rng.random() < 0.5 else None
    extent = patch(rng, canvas, 0.06, 0.22, 1.5, at)
    bare = cv2.GaussianBlur(canvas.picture, (0, 0), rng.uniform(6, 14))
    return Defect(paint(canvas.picture, canvas.ground if rng.random() < 0.5 else bare, extent), extent)


def broken_off(rng: Rng, canvas: Canvas) -> Defect:
    """Everything beyond a ragged line is gone."""
    size = len(canvas.picture)
    x, _ = rotated(*grid(size), rng.uniform(0, 6.3))
    across = x * size / 2 + fractal(rng, size, 1.2, 4) * rng.uniform(1, 4)
    edge = np.quantile(across[canvas.region > 0.5], rng.uniform(0.75, 0.97)) if (canvas.region > 0.5).any() else 0.0
    extent = soft(across - edge) * canvas.region
    return Defect(paint(canvas.picture, canvas.ground, extent), extent)


def warped_outline(rng: Rng, canvas: Canvas) -> Defect:
    """The outline is pushed in or out; the thing leaves its region."""
    dx, dy = _push(rng, canvas)
    coverage = warp(canvas.region, dx, dy)
    emptied = paint(canvas.picture, canvas.ground, canvas.region)
    moved = np.maximum(coverage, canvas.region) * soft(np.hypot(dx, dy) - 1)
    return Defect(paint(emptied, warp(canvas.picture, dx, dy), coverage), moved)


def _push(rng: Rng, canvas: Canvas) -> tuple[Array, Array]:
    """Displacements that move the outline in or out about a point."""
    size, (cx, cy) = len(canvas.region), brink(rng, canvas)
    x, y = grid(size)
    u, v = (x + 1) * size / 2 - cx, (y + 1) * size / 2 - cy
    reach = length(rng, canvas, 0.1, 0.25)
    near = np.exp(-(u**2 + v**2) / (2 * reach**2))
    mass = canvas.region * near
    across, down = float((mass * u).sum()), float((mass * v).sum())
    amount = rng.choice([-1, -1, 1]) * rng.uniform(0.7, 1.3) * reach / (np.hypot(across, down) + 1e-6)
    return (amount * across * near).astype(np.float32), (amount * down * near).astype(np.float32)


def bulge(rng: Rng, canvas: Canvas) -> Defect:
    """The surface swells: it magnifies its texture and catches light."""
    extent = cv2.GaussianBlur(patch(rng, canvas, 0.06, 0.2, 2), (0, 0), rng.uniform(2, 5))
    dx, dy = (cv2.Sobel(extent, cv2.CV_32F, *order) * 16 for order in ((1, 0), (0, 1)))
    lit = shade(warp(canvas.picture, dx, dy), relief(extent * 12, rng.uniform(0, 6.3)), rng.uniform(0.08, 0.25))
    return Defect(lit, soft(extent - 0.12, 0.3))


def distortion(rng: Rng, canvas: Canvas) -> Defect:
    """The texture is pushed about inside a patch."""
    extent, size = patch(rng, canvas, 0.08, 0.25, 6), len(canvas.picture)
    amount = rng.uniform(3, 10)
    dx, dy = (extent * fractal(rng, size, 1.5, 5) * amount for _ in range(2))
    return Defect(warp(canvas.picture, dx, dy), extent)


def misplaced(rng: Rng, canvas: Canvas) -> Defect:
    """A patch shows what belongs elsewhere: shifted, turned or mirrored."""
    extent = patch(rng, canvas, 0.06, 0.22, rng.uniform(1, 3))
    shift = tuple(int(s) for s in rng.integers(8, 60, 2))
    moved = np.roll(canvas.picture, shift, (0, 1))
    moved = np.rot90(moved, int(rng.integers(0, 4))) if rng.random() < 0.5 else moved[:, ::-1]
    return Defect(paint(canvas.picture, moved, extent), extent)


def smear(rng: Rng, canvas: Canvas) -> Defect:
    """The texture is wiped in one direction."""
    extent, reach = patch(rng, canvas, 0.07, 0.22, 5), int(rng.integers(9, 25))
    kernel = np.zeros((reach, reach), np.float32)
    angle = rng.uniform(0, 3.1)
    tip = (int((0.5 + 0.5 * np.cos(angle)) * (reach - 1)), int((0.5 + 0.5 * np.sin(angle)) * (reach - 1)))
    cv2.line(kernel, (reach - 1 - tip[0], reach - 1 - tip[1]), tip, 1.0)
    wiped = shade(cv2.filter2D(canvas.picture, -1, kernel / kernel.sum()), np.ones_like(extent), rng.normal(0, 0.12))
    return Defect(paint(canvas.picture, wiped, extent), extent)


def wrinkle(rng: Rng, canvas: Canvas) -> Defect:
    """Parallel folds that fade out."""
    extent, size = patch(rng, canvas, 0.1, 0.28, 12), len(canvas.picture)
    x, _ = rotated(*grid(size), rng.uniform(0, 6.3))
    fold = np.sin(x * size / 2 / rng.uniform(1, 3) + fractal(rng, size, 1.5) * 2) * extent
    return Defect(shade(warp(canvas.picture, fold * 3, fold * 3), fold, rng.uniform(0.15, 0.4)), extent)


def growth(rng: Rng, canvas: Canvas) -> Defect:
    """A mass lighter or darker than the healthy tissue, often with a core and a halo."""
    extent = patch(rng, canvas, 0.08, 0.35, rng.uniform(1.5, 10))
    core = cv2.erode(extent, np.ones((7, 7), np.uint8)) * rng.uniform(-0.5, 0.6)
    texture = 1 + 0.15 * fractal(rng, len(extent), 0.8, 5) + core
    mass = np.clip(canvas.picture + (contrast(rng, 0.12, 0.5) * texture)[..., None], 0, 1)
    return Defect(paint(canvas.picture, mass, extent * rng.uniform(0.7, 1)), extent)


def pigmented_lesion(rng: Rng, canvas: Canvas) -> Defect:
    """A brown patch of uneven tone, small or filling most of the view."""
    extent, size = patch(rng, canvas, 0.08, 0.42, rng.uniform(1, 12)), len(canvas.picture)
    brown = np.array([0.6, 0.38, 0.25], np.float32) * rng.uniform(0.3, 1.3) + rng.normal(0, 0.04, 3)
    uneven = np.clip(0.75 + rng.uniform(0, 0.25) * fractal(rng, size, 0.9), 0, 1)
    texture = shade(
        canvas.picture * brown * 1.4, fractal(rng, size, 0.4, 8) + grain(rng, size), rng.uniform(0.02, 0.15)
    )
    return Defect(paint(canvas.picture, texture, extent * uneven), extent)


def polyp(rng: Rng, canvas: Canvas) -> Defect:
    """A smooth lit bump of nearly the colour of its surroundings."""
    extent = patch(rng, canvas, 0.08, 0.3, 3)
    dome = cv2.GaussianBlur(extent, (0, 0), rng.uniform(4, 8))
    light = relief(dome * 25, rng.uniform(0, 6.3)) * 0.08 + contrast(rng, 0.05, 0.3) * dome
    flesh = shade(cv2.GaussianBlur(canvas.picture, (0, 0), 3), light + 0.03 * fractal(rng, len(extent), 1), 1)
    return Defect(paint(canvas.picture, flesh, extent), extent)


RENDERERS = {
    "hole": hole,
    "tear": tear,
    "missing part": missing_part,
    "broken off part": broken_off,
    "warped outline": warped_outline,
    "bulge": bulge,
    "distortion": distortion,
    "misplaced part": misplaced,
    "smear": smear,
    "wrinkle": wrinkle,
}

GROWTHS = {
    "tumor": growth,
    "lesion": pigmented_lesion,
    "polyp": polyp,
}
