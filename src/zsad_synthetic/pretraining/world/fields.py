"""Random fields, shapes and colours: the alphabet in which the world is written.

Pictures are float32 arrays [S, S, 3] in [0, 1]; fields and masks are float32 arrays [S, S]. Angles are in radians,
lengths in pixels. Everything is drawn from the generator that is passed in.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Array = NDArray[np.floating]


def grid(size: int) -> tuple[Array, Array]:
    """Coordinates x, y [S, S] in [-1, 1]."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    return np.broadcast_to(line, (size, size)), np.broadcast_to(line[:, None], (size, size))


def fractal(rng: Rng, size: int, slope: float = 1.0, coarse: int = 3, stretch: float = 1.0) -> Array:
    """1/f^slope noise with zero mean and unit variance; `stretch` > 1 draws the grain out along x."""
    total = np.zeros((size, size), np.float32)
    cells = coarse
    while cells <= size:
        across = max(2, round(cells / stretch))
        octave = rng.standard_normal((cells, across), dtype=np.float32)
        total += cv2.resize(octave, (size, size), interpolation=cv2.INTER_CUBIC) * cells**-slope
        cells *= 2
    return (total - total.mean()) / (total.std() + 1e-6)


def grain(rng: Rng, size: int, sigma: float = 0.0) -> Array:
    """White noise of unit variance, smoothed by `sigma`."""
    noise = rng.standard_normal((size, size), dtype=np.float32)
    if sigma > 0.3:
        noise = cv2.GaussianBlur(noise, (0, 0), sigma)
        noise /= noise.std() + 1e-6
    return noise


def cells(rng: Rng, size: int, count: int) -> tuple[NDArray[np.int32], Array]:
    """Voronoi cells: the index of each pixel's cell [S, S], and the distance to its seed."""
    seeds = np.full((size, size), 255, np.uint8)
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    distance, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return label, distance


def borders(label: NDArray[np.int32], width: float) -> Array:
    """Soft lines [S, S] along the borders of labelled cells."""
    edge = np.zeros(label.shape, np.float32)
    edge[:, 1:] = label[:, 1:] != label[:, :-1]
    edge[1:] = np.maximum(edge[1:], label[1:] != label[:-1])
    return np.clip(cv2.GaussianBlur(edge, (0, 0), max(0.4, width / 2)) * max(1.2, width), 0, 1)


def rotated(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """The coordinates turned by `angle`."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def wave(phase: Array, duty: float = 0.5, sharp: float = 8.0) -> Array:
    """A soft square wave of period 1 in [0, 1]; `duty` is the share of the period that is high."""
    return 1 / (1 + np.exp(np.clip(sharp * (np.abs((phase % 1) - 0.5) * 2 - duty), -30, 30)))


def colour(rng: Rng, saturation: float = 0.5, low: float = 0.05, high: float = 0.95) -> Array:
    """A random RGB colour [3], often close to grey."""
    value, strength = rng.uniform(low, high), saturation * rng.beta(1, 2)
    hue = rng.uniform(0, 6) + np.array([0, 4, 2])
    tone = np.clip(np.abs(hue % 6 - 3) - 1, 0, 1)
    return (value * (1 - strength + strength * tone)).astype(np.float32)


def near(rng: Rng, base: Array, amount: float = 0.15) -> Array:
    """A colour that differs from `base` by about `amount`, mostly in lightness."""
    shift = rng.choice([-1, 1]) * rng.uniform(0.5, 1.5) * amount
    return np.clip(base + shift + rng.normal(0, amount / 4, 3), 0, 1).astype(np.float32)


def paint(base: Array, other: Array, alpha: Array) -> Array:
    """`other` (colour [3] or picture) over `base` with coverage alpha [S, S]."""
    return (base + (other - base) * alpha[..., None]).astype(np.float32, copy=False)


def shade(picture: Array, field: Array, amount: float) -> Array:
    """Lighten and darken a colour or picture by `amount` times a field."""
    lit = picture * (1 + amount * field)[..., None]
    return np.clip(lit, 0, 1, out=lit).astype(np.float32, copy=False)


def soft(field: Array, edge: float = 1.0) -> Array:
    """Coverage [S, S] of the region where a signed distance in pixels is positive."""
    return np.clip(field / edge + 0.5, 0, 1).astype(np.float32)


def warp(picture: Array, dx: Array, dy: Array) -> Array:
    """The picture (or field) displaced by dx, dy pixels, mirrored at its border."""
    size = len(picture)
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    return cv2.remap(picture, xs + dx, ys + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def relief(height: Array, angle: float) -> Array:
    """Shading [S, S] about zero of a height field lit from `angle`."""
    height = height.astype(np.float32)
    across, down = cv2.Sobel(height, cv2.CV_32F, 1, 0), cv2.Sobel(height, cv2.CV_32F, 0, 1)
    return across * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))


def blob(rng: Rng, size: int, radius: float, centre: tuple[float, float], rough: float = 0.4) -> Array:
    """Signed distance (about, in pixels) to an irregular blob: positive inside."""
    x, y = grid(size)
    x, y = x * size / 2 - centre[0] + size / 2, y * size / 2 - centre[1] + size / 2
    angle, bend = np.arctan2(y, x), np.zeros((size, size), np.float32)
    for k in range(1, 7):
        bend += rng.normal(0, rough / k) * np.cos(k * angle + rng.uniform(0, 6.3)).astype(np.float32)
    u, v = rotated(x, y, rng.uniform(0, 3.1))
    aspect = rng.uniform(0.5, 1)
    return radius * (1 + bend) - np.sqrt((u * np.sqrt(aspect)) ** 2 + (v / np.sqrt(aspect)) ** 2)


def strokes(size: int, lines: list[NDArray[np.floating]], width: float) -> Array:
    """Anti-aliased polylines (arrays [K, 2] of x, y) as coverage [S, S]."""
    canvas = np.zeros((size * 2, size * 2), np.uint8)
    for line in lines:
        points = np.round(line * 2 * 16).astype(np.int32)
        cv2.polylines(canvas, [points], False, 255, max(1, round(width * 2)), cv2.LINE_AA, 4)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def wander(rng: Rng, start: NDArray[np.floating], angle: float, length: float, bend: float) -> NDArray[np.floating]:
    """A random walk [K, 2] of `length` pixels from `start`, turning by `bend` radians a step."""
    steps = max(3, round(length / 4))
    angles = angle + np.cumsum(rng.normal(0, bend, steps))
    moves = np.stack([np.cos(angles), np.sin(angles)], 1) * (length / steps)
    return np.concatenate([start[None], start + np.cumsum(moves, 0)])
