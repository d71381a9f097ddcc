"""Surfaces with a lattice: weaves, bricks, grids, boards, prints.

A renderer takes a generator and a size and returns a picture [S, S, 3] without defects.
"""

import cv2
import numpy as np

from zsad_synthetic.pretraining.world.fields import (
    Array,
    Rng,
    borders,
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
    wave,
)


def _lattice(rng: Rng, size: int, low: float, high: float, tilt: float = 0.1) -> tuple[Array, Array]:
    """Phases along two slightly turned axes; one unit is one cell."""
    pitch = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    x, y = rotated(*grid(size), rng.choice([0, np.pi / 4], p=[0.85, 0.15]) + rng.normal(0, tilt))
    return x * size / 2 / pitch + rng.uniform(0, 1), y * size / 2 / pitch * rng.uniform(0.7, 1.4) + rng.uniform(0, 1)


def _per_cell(rng: Rng, u: Array, v: Array, sigma: float) -> Array:
    """One random number per lattice cell, as a field."""
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    table = rng.normal(0, sigma, (i.max() - i.min() + 1, j.max() - j.min() + 1)).astype(np.float32)
    return table[i - i.min(), j - j.min()]


def _base(rng: Rng, size: int, tint: Array, rough: float = 0.05) -> Array:
    flat = np.broadcast_to(tint, (size, size, 3)).astype(np.float32)
    return shade(flat, fractal(rng, size, rng.uniform(0.6, 1.5)), rough)


def ceramic_tile(rng: Rng, size: int) -> Array:
    """Square tiles with joints."""
    u, v = _lattice(rng, size, 25, 120)
    tint = colour(rng, 0.6, 0.3, 0.95)
    tiles = shade(_base(rng, size, tint), _per_cell(rng, u, v, 1), rng.uniform(0, 0.05))
    joint = 1 - wave(u, 0.94, 40) * wave(v, 0.94, 40)
    return paint(tiles, near(rng, tint, 0.3), joint)


def brick(rng: Rng, size: int) -> Array:
    """Rows of stones, every other one shifted."""
    u, v = _lattice(rng, size, 14, 50, 0.03)
    u = u / 2 + 0.5 * (np.floor(v) % 2)
    tint = colour(rng, 0.9, 0.2, 0.8)
    stones = shade(_base(rng, size, tint, 0.12), _per_cell(rng, u, v, 1), rng.uniform(0.02, 0.15))
    return paint(stones, near(rng, tint, 0.25), 1 - wave(u, 0.93, 40) * wave(v, 0.88, 30))


def twill(rng: Rng, size: int) -> Array:
    """Diagonal weave of two yarns, as in denim."""
    u, v = _lattice(rng, size, 3, 9)
    over = wave((np.floor(u) + np.floor(v) + 0.5 * (u % 1)) / 3, 0.5, 6)
    tint = colour(rng, 0.9, 0.1, 0.8)
    yarn = relief(np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v), 0.7) * 0.02
    cloth = paint(_base(rng, size, tint), near(rng, tint, 0.2), over)
    return shade(cloth, yarn + grain(rng, size) * 0.05, 1)


def plaid(rng: Rng, size: int) -> Array:
    """Coloured bands crossing each other on cloth."""
    u, v = _lattice(rng, size, 25, 90)
    cloth = _base(rng, size, colour(rng, 0.9))
    for phase in (u, v):
        for _ in range(int(rng.integers(1, 3))):
            cloth = paint(cloth, colour(rng, 0.9), 0.5 * wave(phase + rng.uniform(), rng.uniform(0.1, 0.5), 30))
    fine_u, fine_v = _lattice(rng, size, 2.5, 5)
    return shade(cloth, np.sin(2 * np.pi * fine_u) * np.sin(2 * np.pi * fine_v), rng.uniform(0.02, 0.1))


def carpet(rng: Rng, size: int) -> Array:
    """Tufts."""
    u, v = _lattice(rng, size, 3, 8)
    tuft = np.cos(2 * np.pi * u) * np.cos(2 * np.pi * v) + grain(rng, size, 0.8) * rng.uniform(0.2, 0.8)
    return shade(_base(rng, size, colour(rng, 0.8), 0.06), tuft, rng.uniform(0.08, 0.25))


def wire_grid(rng: Rng, size: int) -> Array:
    """Crossing wires over a ground."""
    u, v = _lattice(rng, size, 8, 35)
    duty = rng.uniform(0.15, 0.4)
    ground = _base(rng, size, colour(rng, 0.3), 0.05)
    wires = np.maximum(wave(u, duty, 20), wave(v, duty, 20))
    metal = shade(_base(rng, size, colour(rng, 0.2)), np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v), 0.1)
    return paint(ground, metal, wires)


def perforated_sheet(rng: Rng, size: int) -> Array:
    """A sheet whose round holes belong to it."""
    u, v = _lattice(rng, size, 9, 35)
    radius = np.hypot((u % 1) - 0.5, (v % 1) - 0.5)
    tint = colour(rng, 0.3)
    return paint(_base(rng, size, tint), near(rng, tint, 0.4), soft(rng.uniform(0.15, 0.38) - radius, 0.06))


def printed_stripes(rng: Rng, size: int) -> Array:
    """Stripes of a few colours."""
    u, _ = _lattice(rng, size, 6, 40, 1.0)
    cloth = _base(rng, size, colour(rng, 0.9))
    for _ in range(int(rng.integers(1, 4))):
        cloth = paint(cloth, colour(rng, 0.9), wave(u + rng.uniform(), rng.uniform(0.2, 0.6), rng.uniform(5, 40)))
    return shade(cloth, grain(rng, size), 0.03)


def printed_motif(rng: Rng, size: int) -> Array:
    """One small motif printed again and again."""
    pitch = int(rng.integers(14, 45))
    motif = soft(
        cv2.resize(rng.standard_normal((5, 5)).astype(np.float32), (pitch, pitch), interpolation=cv2.INTER_CUBIC)
    )
    if rng.random() < 0.6:
        motif = np.maximum(motif, motif[:, ::-1])
    count = size // pitch + 1
    field = np.tile(motif, (count, count))[:size, :size]
    return paint(_base(rng, size, colour(rng, 0.8)), colour(rng, 0.9), field)


def checkerboard(rng: Rng, size: int) -> Array:
    """Two alternating colours."""
    u, v = _lattice(rng, size, 8, 45)
    alternate = ((np.floor(u) + np.floor(v)) % 2).astype(np.float32)
    tint = colour(rng, 0.7)
    board = paint(_base(rng, size, tint), near(rng, tint, 0.35), cv2.GaussianBlur(alternate, (0, 0), 0.6))
    return shade(board, grain(rng, size), 0.03)


def basket_weave(rng: Rng, size: int) -> Array:
    """Strips passing over and under."""
    u, v = _lattice(rng, size, 9, 30)
    over = (np.floor(u) + np.floor(v)) % 2
    curve = np.where(over == 0, np.sin(np.pi * (u % 1)), np.sin(np.pi * (v % 1)))
    return shade(_base(rng, size, colour(rng, 0.6), 0.06), curve - 0.6, rng.uniform(0.2, 0.6))


def roof_scales(rng: Rng, size: int) -> Array:
    """Overlapping rounded shingles."""
    u, v = _lattice(rng, size, 12, 40, 0.05)
    u = u + 0.5 * (np.floor(v) % 2)
    depth = (v % 1) - 1.4 * ((u % 1) - 0.5) ** 2
    roof = shade(_base(rng, size, colour(rng, 0.7), 0.06), _per_cell(rng, u, v, 1), rng.uniform(0, 0.08))
    return shade(roof, depth - depth.mean(), rng.uniform(0.3, 0.7))


def circuit_board(rng: Rng, size: int) -> Array:
    """Traces and pads, in colour or in two tones."""
    trace = np.zeros((size, size), np.uint8)
    pitch = int(rng.integers(8, 18))
    nodes = size // pitch + 1
    for _ in range(int(rng.integers(10, 30))):
        x, y = rng.integers(0, nodes, 2) * pitch
        for _ in range(int(rng.integers(1, 5))):
            step = np.array([[1, 0], [0, 1], [1, 1], [1, -1]])[rng.integers(4)] * rng.choice([-1, 1])
            end = np.array([x, y]) + step * int(rng.integers(1, 5)) * pitch
            cv2.line(trace, (int(x), int(y)), (int(end[0]), int(end[1])), 255, int(rng.integers(2, 5)), cv2.LINE_AA)
            x, y = end
        cv2.circle(trace, (int(x), int(y)), int(rng.integers(3, 6)), 255, -1, cv2.LINE_AA)
    green = rng.random() < 0.5
    board = (np.array([0.05, 0.35, 0.2]) * rng.uniform(0.5, 1.5)).astype(np.float32) if green else colour(rng, 0.4)
    metal = colour(rng, 0.4, 0.5, 1) if rng.random() < 0.5 else near(rng, board, 0.5)
    picture = paint(_base(rng, size, board, 0.03), metal, trace.astype(np.float32) / 255)
    return shade(picture, grain(rng, size), 0.03)


def solar_cell(rng: Rng, size: int) -> Array:
    """Thin fingers across, a few bright busbars along, a dark frame, mottled glow."""
    x, y = grid(size)
    glow = fractal(rng, size, rng.uniform(0.6, 1.4), 2) * rng.uniform(0.02, 0.12) - 0.3 * np.hypot(x, y) * rng.uniform(
        0, 1
    )
    cell = shade(_base(rng, size, colour(rng, 0.3, 0.25, 0.75)), glow, 1)
    fingers = wave(y * size / 2 / rng.uniform(2.5, 5), 0.3, 8)
    bars = wave((x + 1) * int(rng.integers(2, 6)) / 2, rng.uniform(0.04, 0.1), 60)
    cell = shade(cell, -fingers, rng.uniform(0.02, 0.15))
    return paint(cell, near(rng, cell.mean((0, 1)), 0.3), bars)


def diamond_plate(rng: Rng, size: int) -> Array:
    """Raised bars in alternating directions."""
    u, v = _lattice(rng, size, 14, 40)
    flip = np.where((np.floor(u) + np.floor(v)) % 2 == 0, 1, -1)
    a, b = (u % 1) - 0.5, ((v % 1) - 0.5) * flip
    bar = soft(0.12 - (np.abs(a - b) * 0.5 + 0.12 * np.abs(a + b)), 0.05)
    plate = _base(rng, size, colour(rng, 0.15, 0.3, 0.7), 0.05)
    return shade(shade(plate, relief(bar, rng.uniform(0, 6.3)), 0.15), bar, rng.uniform(0, 0.3))


def cobblestone(rng: Rng, size: int) -> Array:
    """Rounded stones of uneven size in dark joints."""
    u, v = _lattice(rng, size, 12, 40)
    u, v = u + 0.12 * fractal(rng, size, 1.5, 4), v + 0.12 * fractal(rng, size, 1.5, 4)
    label = (np.floor(u) * 97 + np.floor(v)).astype(np.int32)
    stones = shade(_base(rng, size, colour(rng, 0.3), 0.1), _per_cell(rng, u, v, 1), rng.uniform(0.05, 0.15))
    return paint(stones, stones * 0.35, borders(label, rng.uniform(1, 3)))


def planks(rng: Rng, size: int) -> Array:
    """Boards side by side; the seams are not defects."""
    u, v = _lattice(rng, size, 20, 60, 0.02)
    tint = np.array([0.6, 0.42, 0.25], np.float32) * rng.uniform(0.5, 1.4)
    boards = shade(_base(rng, size, tint, 0.05), fractal(rng, size, 0.4, 4, stretch=10), 0.08)
    boards = shade(boards, _per_cell(rng, u * 0.1, v, 1), 0.1)
    return paint(boards, boards * 0.4, 1 - wave(v, 0.95, 60))


RENDERERS = {
    "ceramic tile": ceramic_tile,
    "brick wall": brick,
    "denim": twill,
    "plaid fabric": plaid,
    "carpet": carpet,
    "wire grid": wire_grid,
    "perforated sheet": perforated_sheet,
    "striped print": printed_stripes,
    "printed pattern": printed_motif,
    "checkerboard": checkerboard,
    "basket weave": basket_weave,
    "roof shingle": roof_scales,
    "circuit board": circuit_board,
    "solar cell": solar_cell,
    "diamond plate": diamond_plate,
    "cobblestone": cobblestone,
    "plank floor": planks,
}
