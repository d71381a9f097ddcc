"""Between a surface and a stored picture: light, lens, sensor, file; and things that look odd but are fine."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from zsad_synthetic.pretraining.world.fields import (
    Array,
    Rng,
    blob,
    colour,
    fractal,
    grid,
    near,
    paint,
    rotated,
    shade,
    soft,
    strokes,
)

Bytes = NDArray[np.uint8]


def illuminate(rng: Rng, picture: Array) -> Array:
    """A light gradient, sometimes a highlight, a vignette or a cast shadow."""
    size = len(picture)
    x, y = rotated(*grid(size), rng.uniform(0, 6.3))
    field = x * rng.uniform(0, 0.25)
    if rng.random() < 0.3:
        field = field - rng.uniform(0.1, 0.5) * np.hypot(x, y) ** 2 / 2
    if rng.random() < 0.2:
        field = field + rng.uniform(0.1, 0.6) * np.exp(
            -((x - rng.uniform(-1, 1)) ** 2 + (y - rng.uniform(-1, 1)) ** 2) / 0.3
        )
    if rng.random() < 0.2:
        field = field - rng.uniform(0.1, 0.4) * soft((x - rng.uniform(-0.8, 0.8)) * size / 2, rng.uniform(2, 30))
    return shade(picture, field, 1)


def decorate(rng: Rng, picture: Array, region: Array) -> Array:
    """Distractors that are not defects: a seam, a printed mark, a border, a second surface beside the first."""
    size = len(picture)
    x, _ = rotated(*grid(size), rng.choice([0, np.pi / 2]) + rng.normal(0, 0.03))
    kind, at = rng.integers(4), rng.uniform(-0.8, 0.8)
    if kind == 0:
        alpha = soft(rng.uniform(0.8, 4) - np.abs(x - at) * size / 2)
    elif kind == 1:
        alpha = lettering(rng, size)
    elif kind == 2:
        alpha = soft((np.abs(x) - rng.uniform(0.8, 0.97)) * size / 2)
    else:
        alpha = soft((x - rng.uniform(0.2, 0.9)) * size / 2, rng.uniform(1, 8))
    ink = colour(rng, 0.8) if kind == 1 else near(rng, picture.mean((0, 1)), rng.uniform(0.05, 0.35))
    return paint(picture, ink, alpha * region * rng.uniform(0.4, 1))


def adorn(rng: Rng, picture: Array, region: Array) -> Array:
    """Distractors that belong to a thing: glints, a part line along its outline, a label, a mottled tone."""
    size, kind = len(picture), rng.integers(4)
    cx, cy = (float(rng.uniform(0.25, 0.75)) * size for _ in range(2))
    if kind == 0:
        alpha, ink = soft(blob(rng, size, rng.uniform(3, 12), (cx, cy), 0.1), rng.uniform(2, 8)), np.ones(3, np.float32)
    elif kind == 1:
        depth = cv2.distanceTransform((region > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        line = soft(rng.uniform(0.7, 2) - np.abs(depth - rng.uniform(3, 16)))
        alpha, ink = line, near(rng, picture.mean((0, 1)), 0.25)
    elif kind == 2:
        half = rng.uniform(0.06, 0.25, 2) * size
        x, y = grid(size)
        u, v = rotated((x + 1) * (size / 2) - cx, (y + 1) * (size / 2) - cy, rng.normal(0, 0.2))
        alpha = soft(np.minimum(half[0] - np.abs(u), half[1] - np.abs(v)))
        ink = np.where(lettering(rng, size)[..., None] > 0.5, colour(rng, 1.0), colour(rng, 0.6, 0.5, 1))
    else:
        return paint(picture, shade(picture, fractal(rng, size, 1.3), rng.uniform(0.03, 0.12)), region)
    return paint(picture, ink, alpha * region * rng.uniform(0.5, 1))


def lettering(rng: Rng, size: int) -> Array:
    """Coverage [S, S] of a line of letters or digits."""
    canvas = np.zeros((size, size), np.uint8)
    text = "".join(rng.choice(list("ABCDEFHIKLMNOPRSTUVXYZ0123456789-"), int(rng.integers(2, 9))))
    origin = (int(rng.uniform(0, 0.5) * size), int(rng.uniform(0.2, 0.9) * size))
    cv2.putText(
        canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.4, 1.6), 255, int(rng.integers(1, 4)), cv2.LINE_AA
    )
    return canvas.astype(np.float32) / 255


def backdrop(rng: Rng, size: int, surface: Callable[[], Array]) -> Array:
    """What lies behind an object: a plain tone, a gradient, a blurred or a sharp surface, drawn only if it shows."""
    kind = rng.random()
    if kind < 0.5:
        tone = rng.choice([0.03, 0.97]) if rng.random() < 0.4 else rng.uniform(0.1, 0.9)
        plain = np.clip(tone + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)
        return shade(np.broadcast_to(plain, (size, size, 3)), fractal(rng, size, 1.5), rng.uniform(0, 0.04))
    if kind < 0.75:
        return cv2.GaussianBlur(surface(), (0, 0), rng.uniform(2, 8))
    return surface()


def shadow(rng: Rng, picture: Array, coverage: Array) -> Array:
    """A soft shadow of an object on what lies behind it."""
    dx, dy = rng.normal(0, 5, 2).astype(int)
    cast = cv2.GaussianBlur(np.roll(coverage, (dy, dx), (0, 1)), (0, 0), rng.uniform(1, 8))
    return shade(picture, -cast, rng.uniform(0, 0.5))


def clutter(rng: Rng, size: int) -> Array:
    """Coverage of a few long lines, as cables or table edges behind an object."""
    ends = rng.uniform(-0.2, 1.2, (int(rng.integers(1, 4)), 2, 2)) * size
    return strokes(size, list(ends), rng.uniform(1, 8))


def expose(rng: Rng, picture: Bytes) -> Bytes:
    """Grey or tinted, brighter or flatter, blurred, noisy, compressed: [H, W, 3] bytes in and out."""
    if rng.random() < 0.35:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    gain, lift, gamma = rng.uniform(0.7, 1.25), rng.uniform(-0.08, 0.08), rng.uniform(0.75, 1.35)
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain * rng.normal(1, 0.03, 3) + lift
    picture = cv2.LUT(picture, np.clip(levels * 255, 0, 255).astype(np.uint8)[:, None])
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.1))
    if rng.random() < 0.4:
        noise = rng.standard_normal((*picture.shape[:2], 1), dtype=np.float32) * rng.uniform(1, 9)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(35, 95))
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture
