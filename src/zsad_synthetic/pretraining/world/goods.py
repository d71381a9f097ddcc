"""Food and household goods.

A renderer takes a generator and a size and returns a `Solid` without defects.
"""

import numpy as np

from zsad_synthetic.pretraining.world.fields import Rng, colour, fractal, grain, near, shade, soft
from zsad_synthetic.pretraining.world.shapes import (
    GOLDEN,
    METAL,
    WOODEN,
    Part,
    Solid,
    assemble,
    box,
    disc,
    frame,
    lobed,
    ridge,
    tints,
    tone,
)


def bottle(rng: Rng, size: int) -> Solid:
    """A bottle mouth from above: rings around a dark opening."""
    x, y = frame(rng, size)
    glass = colour(rng, 0.8, 0.2, 0.7)
    parts = [Part(disc(x, y, 0, 0, 0.7), glass)]
    for radius in sorted(rng.uniform(0.3, 0.68, 3), reverse=True):
        parts.append(Part(ridge(x, y, 0, 0, float(radius), rng.uniform(0.01, 0.05)), near(rng, glass, 0.3)))
    return assemble(rng, size, [*parts, Part(disc(x, y, 0, 0, 0.3), glass * 0.3)])


def capsule(rng: Rng, size: int) -> Solid:
    """Two coloured halves of a round-ended cylinder."""
    x, y = frame(rng, size)
    left, right = tints(rng, 2, 1.0)
    radius = rng.uniform(0.2, 0.3)
    body = box(x, y, 0, 0, 0.65, radius, radius)
    return assemble(rng, size, [Part(body, left), Part(np.minimum(body, x - rng.uniform(-0.1, 0.1)), right)], 0.9)


def nut_kernel(rng: Rng, size: int) -> Solid:
    """A hazelnut: brown shell with stripes towards a pale base."""
    x, y = frame(rng, size)
    shell = tone(rng, WOODEN)
    body = lobed(rng, x, y * rng.uniform(0.9, 1.1), 0.6, 0.08)
    stripes = np.minimum(body, 0.35 * np.cos(np.arctan2(y - 1.2, x) * rng.uniform(30, 60)) - 0.1)
    return assemble(
        rng, size, [Part(body, shell), Part(stripes, shell * 0.9), Part(np.minimum(body, y - 0.4), shell * 1.4)]
    )


def toothbrush(rng: Rng, size: int) -> Solid:
    """A brush head with rows of coloured bristle tufts."""
    x, y = frame(rng, size, upright=True)
    rows, columns = int(rng.integers(5, 10)), int(rng.integers(3, 5))
    parts = [Part(box(x, y, 0, 0, 0.3, 0.75, 0.25), colour(rng, 0.5, 0.5, 1))]
    palette = tints(rng, 3, 1.0)
    for i in range(rows):
        for j in range(columns):
            cx, cy = 0.2 * (2 * j / (columns - 1) - 1), 0.62 * (2 * i / (rows - 1) - 1)
            parts.append(Part(lobed(rng, x - cx, y - cy, 0.075, 0.2), palette[(i + j * (rows > 7)) % 3]))
    return assemble(rng, size, parts)


def cookie(rng: Rng, size: int) -> Solid:
    """A round biscuit with a rough rim and chips."""
    x, y = frame(rng, size)
    dough = tone(rng, GOLDEN)
    parts = [Part(lobed(rng, x, y, 0.65, rng.uniform(0.02, 0.08)), dough)]
    for _ in range(int(rng.integers(0, 14))):
        cx, cy = rng.normal(0, 0.25, 2)
        parts.append(Part(lobed(rng, x - cx, y - cy, rng.uniform(0.03, 0.09), 0.3), dough * rng.uniform(0.3, 0.8)))
    if rng.random() < 0.4:
        parts.append(Part(ridge(x, y, 0, 0, rng.uniform(0.4, 0.55), 0.02), dough * 0.8))
    return assemble(rng, size, parts)


def candle(rng: Rng, size: int) -> Solid:
    """A round wax body with a wick."""
    x, y = frame(rng, size)
    wax = colour(rng, 0.5, 0.5, 1)
    parts = [Part(disc(x, y, 0, 0, 0.6), wax), Part(disc(x, y, 0, 0, 0.5), near(rng, wax, 0.06))]
    return assemble(rng, size, [*parts, Part(box(x, y, 0.03, 0, 0.08, 0.02), wax * 0.3)])


def crescent(rng: Rng, size: int) -> Solid:
    """A bent body, as a cashew or a piece of macaroni."""
    x, y = frame(rng, size)
    width, radius = rng.uniform(0.12, 0.25), rng.uniform(0.3, 0.45)
    arc = np.minimum(width - np.abs(np.hypot(x, y) - radius), width * 1.2 + y + rng.uniform(0, 0.2))
    tint = tone(rng, GOLDEN * 1.1)
    return assemble(rng, size, [Part(arc, tint), Part(np.minimum(ridge(x, y, 0, 0, radius, 0.02), y), tint * 0.93)])


def slab(rng: Rng, size: int) -> Solid:
    """A cushion-shaped piece, as chewing gum, soap or an eraser."""
    x, y = frame(rng, size)
    corner = rng.uniform(0.05, 0.25)
    return assemble(rng, size, [Part(box(x, y, 0, 0, 0.6, rng.uniform(0.3, 0.6), corner), colour(rng, 0.6, 0.3, 1))])


def spoon(rng: Rng, size: int) -> Solid:
    """A bowl on a long handle."""
    x, y = frame(rng, size)
    metal = tone(rng, METAL)
    bowl = disc(x, y, 0, -0.5, rng.uniform(0.18, 0.26), 1.4)
    handle = box(x, y, 0, 0.25, 0.05, 0.6, 0.05)
    return assemble(rng, size, [Part(handle, metal), Part(bowl, metal), Part(bowl - 0.06, near(rng, metal))], 1)


def button(rng: Rng, size: int) -> Solid:
    """A disc with a rim and sewing holes."""
    x, y = frame(rng, size)
    tint, count = colour(rng, 1.0), int(rng.choice([2, 4]))
    parts = [Part(disc(x, y, 0, 0, 0.62), tint), Part(disc(x, y, 0, 0, rng.uniform(0.4, 0.52)), near(rng, tint, 0.08))]
    for k in range(count):
        cx, cy = (0.15 * f(2 * np.pi * k / count) for f in (np.cos, np.sin))
        parts.append(Part(disc(x, y, cx, cy, 0.055), None))
    return assemble(rng, size, parts, 0.9)


def coin(rng: Rng, size: int) -> Solid:
    """A disc with a raised random relief."""
    x, y = frame(rng, size)
    metal = tone(rng, METAL if rng.random() < 0.5 else GOLDEN)
    raised = np.minimum(0.42 - np.hypot(x, y), 0.2 * fractal(rng, size, 1.2, 5) - 0.1)
    return assemble(
        rng,
        size,
        [Part(disc(x, y, 0, 0, 0.65), metal), Part(ridge(x, y, 0, 0, 0.58, 0.03), metal), Part(raised, metal)],
        1,
    )


def fruit(rng: Rng, size: int) -> Solid:
    """A round fruit or egg with a soft gradient."""
    x, y = frame(rng, size)
    solid = assemble(
        rng, size, [Part(lobed(rng, x, y * rng.uniform(0.75, 1.1), 0.6, 0.06), colour(rng, 1.0, 0.3, 0.95))]
    )
    light = np.exp(-((x - 0.2) ** 2 + (y + 0.2) ** 2) * 3) + 0.1 * fractal(rng, size, 1)
    return Solid(shade(solid.picture, light - 0.4, rng.uniform(0.2, 0.5)), solid.coverage)


def leaf(rng: Rng, size: int) -> Solid:
    """A pointed blade with veins."""
    x, y = frame(rng, size)
    green = tone(rng, np.array([0.3, 0.5, 0.15], np.float32))
    blade = rng.uniform(0.25, 0.4) * (1 - (x / 0.8) ** 2) - np.abs(y)
    veins = np.minimum(blade, 0.08 - np.abs(((np.abs(y) - x) / 0.15) % 1 - 0.5) * 0.3)
    return assemble(
        rng,
        size,
        [Part(blade, green), Part(veins, green * 1.1), Part(np.minimum(blade, 0.02 - np.abs(y)), green * 1.3)],
    )


def packaged_box(rng: Rng, size: int) -> Solid:
    """A carton with a label and lines of print."""
    x, y = frame(rng, size, upright=True)
    card, label, ink = tints(rng, 3, 1.0)
    lines = np.minimum(box(x, y, 0, 0.05, 0.35, 0.25), 0.05 - np.abs((y / 0.12) % 1 - 0.5) * 0.2)
    words = np.minimum(lines, soft(grain(rng, size, 1.0) + 0.4) - 0.5)
    return assemble(
        rng, size, [Part(box(x, y, 0, 0, 0.65, 0.65), card), Part(box(x, y, 0, 0, 0.45, 0.4), label), Part(words, ink)]
    )


def pebble(rng: Rng, size: int) -> Solid:
    """A rounded stone, potato or loaf."""
    x, y = frame(rng, size)
    solid = assemble(rng, size, [Part(lobed(rng, x, y * rng.uniform(1, 1.7), 0.65, 0.15), colour(rng, 0.4))])
    return Solid(shade(solid.picture, fractal(rng, size, rng.uniform(0.4, 1.2)), 0.15), solid.coverage)
