"""Defects that add something to a surface: lines, spots, foreign matter.

A renderer takes a generator and a `Canvas` and returns a `Defect`.
"""

import numpy as np

from zsad_synthetic.pretraining.world.canvas import Canvas, Defect, contrast, length, patch, place
from zsad_synthetic.pretraining.world.fields import (
    Array,
    Rng,
    colour,
    fractal,
    grain,
    paint,
    relief,
    shade,
    soft,
    strokes,
    wander,
)


def _line(rng: Rng, canvas: Canvas, reach: float, bend: float) -> np.ndarray:
    start = np.array(place(rng, canvas))
    line = wander(rng, start, rng.uniform(0, 6.3), reach, bend)
    return line + start - line[len(line) // 2]


def _tint(rng: Rng, canvas: Canvas, strength: float) -> Array:
    level = canvas.picture.mean() + strength
    return np.clip(level + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)


def crack(rng: Rng, canvas: Canvas) -> Defect:
    """A dark wandering line with branches."""
    reach, bend = length(rng, canvas, 0.15, 0.9), rng.uniform(0.1, 0.6)
    lines = [_line(rng, canvas, reach, bend)]
    for _ in range(int(rng.poisson(1.2))):
        joint = lines[0][int(rng.integers(len(lines[0])))]
        lines.append(wander(rng, joint, rng.uniform(0, 6.3), reach * rng.uniform(0.2, 0.6), bend))
    extent = strokes(len(canvas.picture), lines, rng.uniform(0.7, 3))
    dark = canvas.picture * rng.uniform(0.1, 0.6) if rng.random() < 0.8 else canvas.ground
    return Defect(paint(canvas.picture, dark, extent), extent)


def scratch(rng: Rng, canvas: Canvas) -> Defect:
    """One or a few smooth thin lines, light or dark."""
    first = _line(rng, canvas, length(rng, canvas, 0.12, 0.8), 0.04)
    lines = [first + rng.normal(0, 4, 2) for _ in range(int(rng.integers(0, 4)))] + [first]
    extent = strokes(len(canvas.picture), lines, rng.uniform(0.6, 2))
    return Defect(
        paint(canvas.picture, _tint(rng, canvas, contrast(rng, 0.2, 0.6)), extent * rng.uniform(0.5, 1)), extent
    )


def cut(rng: Rng, canvas: Canvas) -> Defect:
    """A straight slit with a bright lip."""
    line = _line(rng, canvas, length(rng, canvas, 0.1, 0.4), 0.02)
    width = rng.uniform(1.5, 4)
    extent, lip = (strokes(len(canvas.picture), [line + shift], width) for shift in (0, rng.uniform(-2, 2, 2)))
    lit = paint(canvas.picture, np.clip(canvas.picture + 0.25, 0, 1), lip)
    return Defect(paint(lit, canvas.picture * 0.25, extent), np.maximum(extent, lip))


def fibre(rng: Rng, canvas: Canvas) -> Defect:
    """A foreign hair or thread lying on the surface."""
    line = _line(rng, canvas, length(rng, canvas, 0.2, 0.8), rng.uniform(0.1, 0.4))
    extent = strokes(len(canvas.picture), [line], rng.uniform(0.8, 2.5))
    shadow = strokes(len(canvas.picture), [line + 1.5], 1.5)
    return Defect(paint(shade(canvas.picture, -shadow, 0.2), colour(rng, 1.0), extent), extent)


def abrasion(rng: Rng, canvas: Canvas) -> Defect:
    """A field of fine parallel scratches."""
    extent, size = patch(rng, canvas, 0.06, 0.25, 4), len(canvas.picture)
    angle, starts = rng.uniform(0, 6.3), rng.uniform(0, size, (250, 2))
    lines = strokes(size, [wander(rng, p, angle + rng.normal(0, 0.1), 30, 0.05) for p in starts], 0.7)
    return Defect(paint(canvas.picture, _tint(rng, canvas, contrast(rng, 0.25, 0.6)), lines * extent * 0.9), extent)


def stain(rng: Rng, canvas: Canvas) -> Defect:
    """A blotch that lets the texture through."""
    extent = patch(rng, canvas, 0.04, 0.22, rng.uniform(1, 8))
    uneven = np.clip(0.75 + 0.2 * fractal(rng, len(extent), 1), 0, 1)
    tinted = canvas.picture * (1 - rng.uniform(0.25, 0.7) * (1 - colour(rng, 1.0)))
    return Defect(paint(canvas.picture, tinted, extent * uneven), extent)


def contamination(rng: Rng, canvas: Canvas) -> Defect:
    """Foreign matter with relief and a shadow."""
    extent = patch(rng, canvas, 0.02, 0.12)
    foreign = shade(canvas.foreign, relief(extent * 6, rng.uniform(0, 6.3)), 0.12)
    shadow = np.roll(extent, (2, 2), (0, 1)) * (1 - extent)
    return Defect(paint(shade(canvas.picture, -shadow, 0.3), foreign, extent), extent)


def foreign_patch(rng: Rng, canvas: Canvas) -> Defect:
    """A piece of another surface let in."""
    extent = patch(rng, canvas, 0.05, 0.25, rng.uniform(1, 6))
    return Defect(paint(canvas.picture, canvas.foreign, extent * rng.uniform(0.5, 1)), extent)


def discoloration(rng: Rng, canvas: Canvas) -> Defect:
    """A soft shift of brightness or hue."""
    extent = patch(rng, canvas, 0.06, 0.25, rng.uniform(3, 14))
    shift = contrast(rng, 0.12, 0.4) + rng.normal(0, 0.06, 3)
    return Defect(paint(canvas.picture, np.clip(canvas.picture + shift, 0, 1), extent), extent)


def corrosion(rng: Rng, canvas: Canvas) -> Defect:
    """Rust: brown speckle that thins out towards its rim."""
    extent, size = patch(rng, canvas, 0.06, 0.25, 10), len(canvas.picture)
    speckle = soft(fractal(rng, size, 0.5, 6) + 2.5 * extent - 1.8, 0.5) * (extent > 0.05)
    rust = np.array([0.5, 0.28, 0.12], np.float32) * rng.uniform(0.5, 1.4)
    rough = shade(np.broadcast_to(rust, canvas.picture.shape), grain(rng, size, 0.6), 0.2)
    return Defect(paint(canvas.picture, rough, speckle * rng.uniform(0.6, 1)), np.maximum(speckle, extent > 0.6))


def bubble(rng: Rng, canvas: Canvas) -> Defect:
    """Blisters with a lit and a shaded side."""
    size, extent = len(canvas.picture), np.zeros(canvas.region.shape, np.float32)
    cx, cy = place(rng, canvas)
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    for _ in range(int(rng.integers(1, 6))):
        radius = max(2.0, length(rng, canvas, 0.02, 0.08))
        distance = np.hypot(xs - cx - rng.normal(0, 8), ys - cy - rng.normal(0, 8))
        extent = np.maximum(extent, np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, 1)))
    lit = shade(canvas.picture, relief(extent * 5, rng.uniform(0, 6.3)), rng.uniform(0.08, 0.2))
    return Defect(shade(lit, extent, contrast(rng, 0, 0.2)), (extent > 0.1).astype(np.float32))


def grit(rng: Rng, canvas: Canvas) -> Defect:
    """A rough patch."""
    extent = patch(rng, canvas, 0.05, 0.2, 3)
    rough = shade(canvas.picture, grain(rng, len(extent), rng.uniform(0, 1.2)), rng.uniform(0.2, 0.6))
    return Defect(paint(canvas.picture, rough, extent), extent)


def spots(rng: Rng, canvas: Canvas) -> Defect:
    """A scatter of small dots of one colour."""
    extent, size = patch(rng, canvas, 0.05, 0.25, 2), len(canvas.picture)
    dots = soft(grain(rng, size, rng.uniform(0.8, 2)) - rng.uniform(0.7, 1.7), 0.4) * extent
    return Defect(
        paint(canvas.picture, _tint(rng, canvas, contrast(rng, 0.25, 0.7)), dots), extent * (dots.max() > 0.5)
    )


RENDERERS = {
    "crack": crack,
    "scratch": scratch,
    "cut": cut,
    "loose fibre": fibre,
    "abrasion": abrasion,
    "stain": stain,
    "contamination": contamination,
    "foreign patch": foreign_patch,
    "discoloration": discoloration,
    "corrosion": corrosion,
    "bubble": bubble,
    "rough patch": grit,
    "spots": spots,
}
