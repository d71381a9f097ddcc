"""Surfaces without a lattice: stone, wood, metal, leather and their kin.

A renderer takes a generator and a size and returns a picture [S, S, 3] without defects.
"""

import numpy as np

from zsad_synthetic.pretraining.world.fields import (
    Array,
    Rng,
    borders,
    cells,
    colour,
    fractal,
    grain,
    grid,
    near,
    paint,
    relief,
    rotated,
    shade,
    soft,
    strokes,
    wander,
    warp,
    wave,
)


def _flat(rng: Rng, size: int, base: Array) -> Array:
    return np.broadcast_to(base, (size, size, 3)).astype(np.float32)


def concrete(rng: Rng, size: int) -> Array:
    """Cloudy grey with pores."""
    base = shade(_flat(rng, size, colour(rng, 0.2, 0.3, 0.85)), fractal(rng, size, rng.uniform(0.5, 1.2)), 0.08)
    pores = soft(grain(rng, size, rng.uniform(0.6, 1.5)) - rng.uniform(2.2, 3), 0.5)
    return shade(paint(base, base * 0.6, pores), grain(rng, size), 0.04)


def asphalt(rng: Rng, size: int) -> Array:
    """Coarse aggregate in dark binder."""
    label, distance = cells(rng, size, int(rng.integers(800, 4000)))
    tone = rng.normal(0, 1, label.max() + 1).astype(np.float32)[label]
    field = tone * 0.6 + grain(rng, size, 0.7) * 0.6 - 0.5 * distance / (distance.mean() + 1e-6)
    return shade(_flat(rng, size, colour(rng, 0.15, 0.2, 0.65)), field, rng.uniform(0.1, 0.3))


def granite(rng: Rng, size: int) -> Array:
    """Fine crystals of three colours."""
    base = _flat(rng, size, colour(rng, 0.3, 0.3, 0.9))
    for _ in range(2):
        spots = soft(grain(rng, size, rng.uniform(0.6, 1.1)) - rng.uniform(0.4, 1.4), 0.6)
        base = paint(base, colour(rng, 0.4), spots * rng.uniform(0.4, 0.9))
    return shade(base, fractal(rng, size, 0.8), 0.05)


def marble(rng: Rng, size: int) -> Array:
    """Veins of a warped wave."""
    x, _ = rotated(*grid(size), rng.uniform(0, 6.3))
    vein = 1 - np.abs(np.sin((x * rng.uniform(2, 5) + fractal(rng, size, 1.1) * rng.uniform(0.3, 1)) * 3))
    base = colour(rng, 0.2, 0.5, 0.95)
    picture = paint(_flat(rng, size, base), near(rng, base, 0.3), vein ** rng.uniform(4, 12))
    return shade(picture, fractal(rng, size, 1.2), 0.06)


def wood(rng: Rng, size: int) -> Array:
    """Rings cut lengthwise, with fine pores along the grain."""
    _, y = rotated(*grid(size), rng.choice([0, np.pi / 2]) + rng.normal(0, 0.05))
    bend = fractal(rng, size, 1.5, 2, stretch=2) * rng.uniform(0.03, 0.25)
    rings = wave((y + bend) * rng.uniform(3, 14), 0.5, rng.uniform(2, 5))
    dark = np.array([0.45, 0.3, 0.15], np.float32) * rng.uniform(0.6, 1.4) + rng.normal(0, 0.04, 3)
    picture = paint(_flat(rng, size, np.clip(dark * rng.uniform(1.3, 1.9), 0, 1)), dark, rings * rng.uniform(0.2, 0.9))
    return shade(picture, fractal(rng, size, 0.3, 8, stretch=8), 0.06)


def leather(rng: Rng, size: int) -> Array:
    """Pebbled cells lit from one side."""
    _, distance = cells(rng, size, int(rng.integers(300, 2500)))
    height = -np.minimum(distance, 6) + fractal(rng, size, 1) * 0.5
    base = shade(_flat(rng, size, colour(rng, 0.7, 0.1, 0.7)), fractal(rng, size, 1.2), 0.06)
    return shade(base, relief(height, rng.uniform(0, 6.3)), rng.uniform(0.02, 0.08))


def brushed_metal(rng: Rng, size: int) -> Array:
    """Fine parallel streaks and a soft highlight."""
    streaks = fractal(rng, size, 0.2, 16, stretch=rng.uniform(10, 40))
    x, _ = rotated(*grid(size), rng.uniform(0, 6.3))
    light = np.exp(-((x - rng.uniform(-1, 1)) ** 2) / rng.uniform(0.1, 1))
    field = streaks * rng.uniform(0.03, 0.12) + light * rng.uniform(0, 0.4)
    picture = shade(_flat(rng, size, colour(rng, 0.15, 0.3, 0.75)), field, 1)
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture.transpose(1, 0, 2))


def cast_metal(rng: Rng, size: int) -> Array:
    """Grey with a fine relief."""
    height = fractal(rng, size, rng.uniform(0, 0.6), 8)
    base = shade(_flat(rng, size, colour(rng, 0.15, 0.2, 0.7)), fractal(rng, size, 1.5), rng.uniform(0, 0.12))
    return shade(base, relief(height, rng.uniform(0, 6.3)), rng.uniform(0.01, 0.05))


def magnetic_surface(rng: Rng, size: int) -> Array:
    """Dim ground ceramic with grinding lines and wide uneven bands."""
    _, y = rotated(*grid(size), rng.choice([0, np.pi / 2]))
    bands = np.cos(y * rng.uniform(1, 4) + rng.uniform(0, 6.3)) * rng.uniform(0, 0.25)
    lines = fractal(rng, size, 0.3, 12, stretch=rng.uniform(3, 15)) * rng.uniform(0.02, 0.1)
    return shade(_flat(rng, size, colour(rng, 0.05, 0.15, 0.6)), bands + lines + grain(rng, size) * 0.04, 1)


def plastic(rng: Rng, size: int) -> Array:
    """An even colour with a broad highlight."""
    field = fractal(rng, size, 2, 2) * rng.uniform(0, 0.15)
    return shade(_flat(rng, size, colour(rng, 1.0)), field + grain(rng, size) * rng.uniform(0, 0.03), 1)


def rubber(rng: Rng, size: int) -> Array:
    """Dark and matt, with dust."""
    base = shade(_flat(rng, size, colour(rng, 0.2, 0.08, 0.3)), grain(rng, size, rng.uniform(0, 1)), 0.12)
    return paint(base, base + 0.15, soft(grain(rng, size, 0.5) - 2.8, 0.6))


def paper(rng: Rng, size: int) -> Array:
    """Light fibres."""
    field = fractal(rng, size, 0.4, 8, stretch=rng.uniform(1, 3))
    return shade(_flat(rng, size, colour(rng, 0.4, 0.6, 0.95)), field, rng.uniform(0.01, 0.05))


def felt(rng: Rng, size: int) -> Array:
    """Matted short hairs."""
    ends = rng.uniform(0, size, (220, 2))
    hairs = strokes(size, [wander(rng, p, rng.uniform(0, 6.3), 14, 0.5) for p in ends], 0.6)
    base = shade(_flat(rng, size, colour(rng, 0.9)), fractal(rng, size, 0.4), rng.uniform(0.04, 0.12))
    return shade(base, hairs, rng.uniform(0.1, 0.3))


def soil(rng: Rng, size: int) -> Array:
    """Brown crumbs of all sizes."""
    base = np.array([0.4, 0.3, 0.2], np.float32) * rng.uniform(0.6, 1.6)
    return shade(_flat(rng, size, base), fractal(rng, size, rng.uniform(0.1, 0.5), 4), rng.uniform(0.15, 0.3))


def foam(rng: Rng, size: int) -> Array:
    """Round pores in a light body."""
    label, distance = cells(rng, size, int(rng.integers(200, 1500)))
    pores = soft(rng.uniform(1.5, 3.5) * rng.uniform(0.6, 1.4, label.max() + 1)[label] - distance, 1.5)
    base = colour(rng, 0.6, 0.5, 0.95)
    return paint(shade(_flat(rng, size, base), fractal(rng, size, 1), 0.04), base * rng.uniform(0.5, 0.9), pores)


def glazed_ceramic(rng: Rng, size: int) -> Array:
    """Smooth glaze, sometimes speckled."""
    base = shade(_flat(rng, size, colour(rng, 0.7, 0.3, 0.95)), fractal(rng, size, 2, 2), 0.07)
    speckle = soft(grain(rng, size, rng.uniform(0.6, 1.2)) - rng.uniform(1.8, 4), 0.5)
    return paint(base, colour(rng, 0.5), speckle * rng.uniform(0.2, 0.8))


def baked_dough(rng: Rng, size: int) -> Array:
    """Golden crust with blotches and crumbs."""
    base = np.array([0.8, 0.58, 0.3], np.float32) * rng.uniform(0.6, 1.15)
    field = fractal(rng, size, rng.uniform(0.6, 1.2)) * 0.14 + relief(fractal(rng, size, 0.5, 6), 0.8) * 0.02
    picture = shade(_flat(rng, size, base), field, 1)
    chips = soft(grain(rng, size, rng.uniform(2, 4)) - rng.uniform(1.6, 3.5), 0.4)
    return paint(picture, colour(rng, 0.6, 0.1, 0.4), chips)


def crystalline_wafer(rng: Rng, size: int) -> Array:
    """Facets of different brightness, as in multicrystalline silicon."""
    x = fractal(rng, size, 1) * rng.uniform(1, 8)
    label, _ = cells(rng, size, int(rng.integers(15, 120)))
    tone = rng.normal(0, 1, label.max() + 1).astype(np.float32)[label]
    base = shade(_flat(rng, size, colour(rng, 0.6, 0.2, 0.7)), warp(tone, x, x.T), rng.uniform(0.08, 0.3))
    return shade(base, grain(rng, size), 0.02)


def painted_wall(rng: Rng, size: int) -> Array:
    """Roller texture with a tint."""
    height = fractal(rng, size, rng.uniform(0.2, 0.8), 10)
    base = shade(_flat(rng, size, colour(rng, 0.7, 0.4, 0.95)), fractal(rng, size, 1.5), 0.04)
    return shade(base, relief(height, rng.uniform(0, 6.3)), rng.uniform(0.005, 0.03))


def cracked_glaze(rng: Rng, size: int) -> Array:
    """A net of fine lines that belongs to the surface, so that not every line is a crack."""
    label, _ = cells(rng, size, int(rng.integers(30, 200)))
    base = glazed_ceramic(rng, size)
    return paint(base, near(rng, base.mean((0, 1)), 0.25), borders(label, 0.8) * rng.uniform(0.3, 0.8))


def cloud(rng: Rng, size: int) -> Array:
    """Coloured 1/f noise with the spectrum of natural pictures."""
    base = np.stack([fractal(rng, size, 1)] * 3, -1)
    tint = np.stack([fractal(rng, size, 1.2) for _ in range(3)], -1)
    level = colour(rng, 0.5, 0.3, 0.7)
    return np.clip(level + rng.uniform(0.05, 0.2) * base + rng.uniform(0, 0.08) * tint, 0, 1).astype(np.float32)


RENDERERS = {
    "concrete": concrete,
    "asphalt": asphalt,
    "granite": granite,
    "marble": marble,
    "wood": wood,
    "leather": leather,
    "brushed metal": brushed_metal,
    "cast metal": cast_metal,
    "magnetic tile": magnetic_surface,
    "plastic": plastic,
    "rubber": rubber,
    "paper": paper,
    "felt": felt,
    "soil": soil,
    "foam": foam,
    "glazed ceramic": glazed_ceramic,
    "baked dough": baked_dough,
    "crystalline wafer": crystalline_wafer,
    "painted wall": painted_wall,
    "crackle glaze": cracked_glaze,
    "cloudy surface": cloud,
}
