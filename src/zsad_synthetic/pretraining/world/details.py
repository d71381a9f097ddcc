"""Parts of composed objects: each call gives one group of like parts, laid out symmetrically on a body.

A group is a single field over folded coordinates, so copies cost nothing.
"""

from typing import NamedTuple

import numpy as np

from zsad_synthetic.pretraining.world.fields import Array, Rng, colour, near
from zsad_synthetic.pretraining.world.imaging import lettering
from zsad_synthetic.pretraining.world.shapes import METAL, Part, box, disc, tone


class Body(NamedTuple):
    """The object that parts are put on."""

    x: Array
    y: Array
    form: Array
    """[S, S] signed outline, positive inside."""
    tint: Array
    """[3]."""
    w: float
    h: float


def folded(rng: Rng, body: Body) -> tuple[Array, Array, Array, float]:
    """Coordinates u, v about the copies of a part, a field that is positive where copies may be, and their reach."""
    x, y, layout = body.x, body.y, rng.integers(5)
    everywhere = np.ones_like(x)
    if layout == 0:
        return x - rng.uniform(-0.5, 0.5) * body.w, y - rng.uniform(-0.5, 0.5) * body.h, everywhere, body.w
    if layout == 1:
        at, height = rng.uniform(0.3, 0.7) * body.w, rng.uniform(-0.6, 0.6) * body.h
        return np.abs(x) - at, y - height, everywhere, min(at, body.w - at)
    if layout == 2:
        at, height = rng.uniform(0.4, 0.8, 2) * (body.w, body.h)
        return np.abs(x) - at, np.abs(y) - height, everywhere, min(at, height, body.w - at)
    if layout == 3:
        copies, radius = int(rng.integers(3, 9)), rng.uniform(0.4, 0.75) * min(body.w, body.h)
        sector = 2 * np.pi / copies
        angle = (np.arctan2(y, x) + sector / 2) % sector - sector / 2
        r = np.hypot(x, y)
        return r * np.cos(angle) - radius, r * np.sin(angle), everywhere, radius * min(0.6, 2 / copies)
    copies = int(rng.integers(3, 9))
    pitch, height = 1.7 * body.h / copies, rng.uniform(-0.6, 0.6) * body.w
    run = copies * pitch / 2 - np.abs(y)
    return x - height, (y + copies % 2 * pitch / 2) % pitch - pitch / 2, run, pitch / 2


def _piece(rng: Rng, body: Body, low: float = 0.3, high: float = 0.75) -> Array:
    """A group of discs or boxes."""
    u, v, where, reach = folded(rng, body)
    a, b = np.maximum(reach * rng.uniform(low, high, 2), 0.03)
    shape = disc(u, v, 0, 0, a) if rng.random() < 0.5 else box(u, v, 0, 0, a, b, min(a, b) * rng.choice([0.2, 1]))
    return np.minimum(shape, where)


def _within(body: Body, shape: Array, margin: float = 0.04) -> Array:
    return np.minimum(shape, body.form - np.float32(margin))


def _ink(rng: Rng, body: Body) -> Array:
    draw = rng.random()
    if draw < 0.45:
        return near(rng, body.tint, rng.uniform(0.1, 0.35))
    return tone(rng, METAL) if draw < 0.6 else colour(rng, 1.0)


def holes(rng: Rng, body: Body) -> list[Part]:
    """Through-holes or blind holes, often with a rim."""
    u, v, where, reach = folded(rng, body)
    radius = np.clip(reach * rng.uniform(0.2, 0.6), 0.03, 0.22 * min(body.w, 0.6) + 0.03)
    bore = _within(body, np.minimum(disc(u, v, 0, 0, radius), where))
    rim = [Part(_within(body, bore + rng.uniform(0.02, 0.05), 0.01), _ink(rng, body))] if rng.random() < 0.5 else []
    return [*rim, Part(bore, None if rng.random() < 0.6 else body.tint * np.float32(rng.uniform(0.1, 0.5)))]


def slots(rng: Rng, body: Body) -> list[Part]:
    """Long openings or recesses."""
    u, v, where, reach = folded(rng, body)
    a, b = max(0.03, reach * rng.uniform(0.4, 0.9)), rng.uniform(0.025, 0.07)
    slot = box(u, v, 0, 0, a, b, b) if rng.random() < 0.5 else box(u, v, 0, 0, b, a, b)
    dark = body.tint * np.float32(rng.uniform(0.1, 0.6))
    return [Part(_within(body, np.minimum(slot, where)), None if rng.random() < 0.4 else dark)]


def boss(rng: Rng, body: Body) -> list[Part]:
    """Raised pieces with a smaller one on top."""
    outer, tint = _piece(rng, body), _ink(rng, body)
    inner = np.minimum(outer - np.float32(rng.uniform(0.03, 0.08)), body.form)
    return [Part(np.minimum(outer, body.form), tint), Part(inner, near(rng, tint, 0.2))]


def step(rng: Rng, body: Body) -> list[Part]:
    """A terrace or a groove that follows the outline."""
    depth, tint = rng.uniform(0.04, 0.6) * min(body.w, body.h), near(rng, body.tint, rng.uniform(0.03, 0.3))
    inner = body.form - np.float32(depth)
    return [Part(np.minimum(inner, rng.uniform(0.02, 0.06) - inner) if rng.random() < 0.4 else inner, tint)]


def stripe(rng: Rng, body: Body) -> list[Part]:
    """A band, or two mirrored ones, across or along the body."""
    along = rng.random() < 0.3
    axis, reach = (body.x, body.w) if along else (body.y, body.h)
    axis = np.abs(axis) if rng.random() < 0.5 else axis
    band = np.float32(rng.uniform(0.02, 0.15)) - np.abs(axis - np.float32(rng.uniform(-0.2, 0.8) * reach))
    return [Part(np.minimum(band, body.form), _ink(rng, body))]


def inlay(rng: Rng, body: Body) -> list[Part]:
    """Flat pieces of another colour."""
    return [Part(_within(body, _piece(rng, body, 0.4, 0.95)), _ink(rng, body))]


def dots(rng: Rng, body: Body) -> list[Part]:
    """A lattice of small dots, all over or in an inner field."""
    pitch = rng.uniform(0.1, 0.25)
    u, v = ((a + pitch / 2) % pitch - pitch / 2 for a in (body.x, body.y))
    margin = rng.uniform(0.04, 0.5) * min(body.w, body.h)
    return [Part(_within(body, disc(u, v, 0, 0, pitch * rng.uniform(0.15, 0.35)), margin), _ink(rng, body))]


def ribs(rng: Rng, body: Body) -> list[Part]:
    """A field of parallel ridges, as on a grip."""
    pitch, axis = rng.uniform(0.06, 0.16), body.y if rng.random() < 0.7 else body.x
    comb = pitch * rng.uniform(0.2, 0.3) - np.abs((axis / pitch) % 1 - 0.5) * pitch
    start, stop = np.sort(rng.uniform(-1, 1, 2)) * body.h
    field = np.minimum(body.y - start, stop + 0.2 - body.y)
    return [Part(_within(body, np.minimum(comb, field), rng.uniform(0, 0.12)), near(rng, body.tint, 0.2))]


def pins(rng: Rng, body: Body) -> list[Part]:
    """Thin legs that stick out of the body on one or two sides."""
    count = int(rng.integers(2, 8))
    pitch, width = 1.5 * body.h / count, rng.uniform(0.12, 0.3)
    v = (body.y + count % 2 * pitch / 2) % pitch - pitch / 2
    u = np.abs(body.x) if rng.random() < 0.5 else body.x
    legs = np.minimum(pitch * width - np.abs(v), np.minimum(u, body.w * 1.25 - u))
    legs = np.minimum(legs, count * pitch / 2 - np.abs(body.y))
    return [Part(np.minimum(legs, 0.02 - body.form), tone(rng, METAL))]


def mark(rng: Rng, body: Body) -> list[Part]:
    """Printed letters."""
    print_ = lettering(rng, len(body.form)) * 0.06 - 0.03
    return [Part(_within(body, print_.astype(np.float32)), _ink(rng, body))]
