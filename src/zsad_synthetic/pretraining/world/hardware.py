"""Fasteners, electronics, machine parts.

A renderer takes a generator and a size and returns a `Solid` without defects.
"""

import numpy as np

from zsad_synthetic.pretraining.world.fields import Rng, colour, grain, near
from zsad_synthetic.pretraining.world.shapes import (
    METAL,
    Part,
    Solid,
    assemble,
    box,
    disc,
    frame,
    polygon,
    ridge,
    tints,
    tone,
)


def screw(rng: Rng, size: int) -> Solid:
    """Head, shank and thread seen from the side."""
    x, y = frame(rng, size)
    metal, width, start = tone(rng, METAL), rng.uniform(0.06, 0.13), rng.uniform(-0.3, 0.1)
    pitch, tip = rng.uniform(0.04, 0.09), 0.15
    taper = np.clip((0.72 - x) / tip, 0, 1) * width
    tooth = np.abs(((x + 0.3 * y) / pitch) % 1 - 0.5) * 0.6 * width
    shank = np.minimum(taper - np.abs(y), x + 0.6)
    thread = np.minimum(np.clip((0.75 - x) / tip, 0, 1) * width * 0.9 + tooth - np.abs(y), x - start)
    head = box(x, y, -0.62, 0, rng.uniform(0.05, 0.1), width * rng.uniform(1.8, 2.6), 0.04)
    return assemble(
        rng, size, [Part(shank, metal), Part(np.minimum(thread, 0.78 - x), metal * 0.9), Part(head, metal)], 1
    )


def metal_nut(rng: Rng, size: int) -> Solid:
    """A hexagon with a threaded bore."""
    x, y = frame(rng, size)
    metal, bore = tone(rng, METAL), rng.uniform(0.22, 0.34)
    rings = [Part(ridge(x, y, 0, 0, bore + 0.05, 0.03), metal * 0.8), Part(disc(x, y, 0, 0, bore), None)]
    return assemble(rng, size, [Part(polygon(x, y, 6, 0.62), metal), *rings], 0.9)


def cable(rng: Rng, size: int) -> Solid:
    """A cut cable: insulated cores inside a sheath."""
    x, y = frame(rng, size)
    parts = [Part(disc(x, y, 0, 0, 0.7), colour(rng, 0.3)), Part(disc(x, y, 0, 0, 0.62), colour(rng, 0.1, 0.1, 0.4))]
    cores = int(rng.integers(3, 6))
    for k in range(cores):
        cx, cy = (0.33 * f(2 * np.pi * k / cores) for f in (np.cos, np.sin))
        parts.append(Part(disc(x, y, cx, cy, 0.8 / cores), colour(rng, 1.0)))
        parts.append(Part(disc(x, y, cx, cy, 0.5 / cores), tone(rng, np.array([0.75, 0.5, 0.3], np.float32))))
    return assemble(rng, size, parts)


def transistor(rng: Rng, size: int) -> Solid:
    """A dark package with three legs."""
    x, y = frame(rng, size, upright=True)
    metal = tone(rng, METAL)
    legs = [Part(box(x, y, cx, 0.45, 0.035, 0.4), metal) for cx in (-0.22, 0, 0.22)]
    package = box(x, y, 0, -0.25, 0.4, 0.35, 0.04)
    return assemble(
        rng, size, [*legs, Part(package, colour(rng, 0.2, 0.05, 0.3)), Part(disc(x, y, -0.2, -0.4, 0.05), metal)]
    )


def zipper(rng: Rng, size: int) -> Solid:
    """Interlocked elements on two tapes."""
    x, y = frame(rng, size, upright=True)
    pitch, tape = rng.uniform(0.06, 0.14), colour(rng, 0.8)
    left = np.minimum(0.3 - np.abs((y / pitch) % 1 - 0.5), 0.16 - np.abs(x + 0.05)) * pitch
    right = np.minimum(0.3 - np.abs((y / pitch + 0.5) % 1 - 0.5), 0.16 - np.abs(x - 0.05)) * pitch
    tapes = [Part(0.8 - np.abs(x), tape), Part(left, tone(rng, METAL)), Part(right, tone(rng, METAL))]
    return assemble(rng, size, tapes, 0.8)


def pipe(rng: Rng, size: int) -> Solid:
    """A tube from the side with collars."""
    x, y = frame(rng, size)
    tint, radius = colour(rng, 0.4), rng.uniform(0.15, 0.35)
    lit = near(rng, tint, 0.2)
    parts = [
        Part(box(x, y, 0, 0, 0.85, radius), tint),
        Part(np.minimum(0.3 * radius - np.abs(y + 0.3 * radius), 0.85 - np.abs(x)), lit),
    ]
    for cx in rng.uniform(-0.7, 0.7, int(rng.integers(0, 3))):
        parts.append(Part(box(x, y, float(cx), 0, 0.06, radius * 1.15), near(rng, tint)))
    return assemble(rng, size, parts, 0.8)


def connector(rng: Rng, size: int) -> Solid:
    """A housing with a row of pins."""
    x, y = frame(rng, size, upright=True)
    pins, housing = int(rng.integers(3, 9)), colour(rng, 0.7)
    parts = [Part(box(x, y, 0, 0.1, 0.7, 0.35, 0.05), housing)]
    for k in range(pins):
        cx = 0.58 * (2 * k / (pins - 1) - 1)
        parts += [
            Part(box(x, y, cx, -0.4, 0.03, 0.25), tone(rng, METAL)),
            Part(box(x, y, cx, 0.1, 0.05, 0.12), housing * 0.4),
        ]
    return assemble(rng, size, parts)


def bracket(rng: Rng, size: int) -> Solid:
    """A bent metal part with mounting holes."""
    x, y = frame(rng, size)
    tint = colour(rng, 0.3)
    parts = [Part(box(x, y, -0.4, 0, 0.17, 0.65, 0.06), tint), Part(box(x, y, 0.05, 0.5, 0.6, 0.16, 0.06), tint)]
    holes = [
        Part(disc(x, y, cx, cy, rng.uniform(0.04, 0.09)), None) for cx, cy in ((-0.4, -0.4), (-0.4, 0.1), (0.4, 0.5))
    ]
    return assemble(rng, size, parts + holes, 0.8)


def battery(rng: Rng, size: int) -> Solid:
    """A wrapped cylinder with a contact and a printed band."""
    x, y = frame(rng, size)
    wrap, band = tints(rng, 2, 1.0)
    cell = box(x, y, 0, 0, 0.6, 0.24, 0.04)
    parts = [Part(box(x, y, 0.63, 0, 0.05, 0.08), tone(rng, METAL)), Part(cell, wrap)]
    return assemble(rng, size, [*parts, Part(np.minimum(cell, x - rng.uniform(0, 0.4)), band)], 0.8)


def spring(rng: Rng, size: int) -> Solid:
    """A coil from the side."""
    x, y = frame(rng, size)
    coil = np.abs(y - 0.25 * np.sin(x * rng.uniform(15, 35)))
    return assemble(
        rng, size, [Part(np.minimum(rng.uniform(0.05, 0.08) - coil * 0.5, 0.75 - np.abs(x)), tone(rng, METAL))], 1
    )


def computer_chip(rng: Rng, size: int) -> Solid:
    """A package with legs on two or four sides and a mark."""
    x, y = frame(rng, size, upright=True)
    comb = 0.25 - np.abs((y / rng.uniform(0.07, 0.15)) % 1 - 0.5)
    legs = np.minimum(comb * 0.1, np.minimum(0.65 - np.abs(x), 0.5 - np.abs(y)))
    package = colour(rng, 0.2, 0.05, 0.35)
    print_ = np.minimum(box(x, y, 0, 0, 0.3, 0.2), 0.1 * grain(rng, size, 1.5) - 0.05)
    return assemble(
        rng,
        size,
        [Part(legs, tone(rng, METAL)), Part(box(x, y, 0, 0, 0.5, 0.55, 0.03), package), Part(print_, package + 0.3)],
    )


def metal_plate(rng: Rng, size: int) -> Solid:
    """A plate with bores and a slot, all of which belong to it."""
    x, y = frame(rng, size)
    w, h = rng.uniform(0.4, 0.75, 2)
    holes = [Part(disc(x, y, sx * w * 0.75, sy * h * 0.75, 0.07), None) for sx in (-1, 1) for sy in (-1, 1)]
    slot = [Part(box(x, y, 0, 0, w * 0.4, 0.06, 0.06), None)] if rng.random() < 0.5 else []
    return assemble(rng, size, [Part(box(x, y, 0, 0, w, h, 0.05), colour(rng, 0.2, 0.3, 0.9)), *holes, *slot], 0.8)


def machine_part(rng: Rng, size: int) -> Solid:
    """A nameless assembly of mirrored boxes, discs and bores."""
    x, y = frame(rng, size)
    palette = tints(rng, 4)
    mirrored = np.abs(x) if rng.random() < 0.7 else x
    parts = [Part(box(x, y, 0, 0, *rng.uniform(0.2, 0.6, 2)), palette[0])]
    for _ in range(int(rng.integers(2, 7))):
        cx, cy, a, b = rng.uniform(0, 0.55), rng.uniform(-0.5, 0.5), *rng.uniform(0.05, 0.3, 2)
        shape = disc(mirrored, y, cx, cy, a) if rng.random() < 0.5 else box(mirrored, y, cx, cy, a, b)
        parts.append(Part(shape, palette[int(rng.integers(4))] if rng.random() < 0.85 else None))
    return assemble(rng, size, parts, rng.uniform(0.3, 1))
