"""What demo pictures are drawn with: noise, shapes as signed distances, paint, light, and the final small picture.

Drawn at twice the final size and averaged down. Colour values are 0 … 255 with four fractional bits (0 … 4080);
coverage is 0 … 256; distances are in 1/4 canvas pixel, negative inside. Everything is int32.
"""

from itertools import pairwise

import numpy as np

from zsad_synthetic.demo.integer_math import UNIT, Dice, cosine, length, sine

SIDE = 256  # canvas pixels; the picture has half as many
QUARTER = 4  # distance units per canvas pixel
FULL = 256  # complete coverage
ONE = 16  # one grey level
_Y, _X = (axis.astype(np.int32) * QUARTER for axis in np.mgrid[0:SIDE, 0:SIDE])

Colour = tuple[int, int, int]


def grid(centre: tuple[int, int] = (128, 128), turn: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (x, y) in 1/4 pixel around `centre` (canvas pixels), turned by `turn` (1/4096 of a turn)."""
    x, y = _X - centre[0] * QUARTER, _Y - centre[1] * QUARTER
    if not turn:
        return x, y
    c, s = int(cosine(turn)), int(sine(turn))
    return (x * c + y * s) // UNIT, (y * c - x * s) // UNIT


def place(centre: tuple[int, int], turn: int, x: int, y: int) -> tuple[int, int]:
    """Where the point (x, y) of `grid(centre, turn)` lies on the canvas, in 1/4 pixel from its upper left corner."""
    c, s = int(cosine(turn)), int(sine(turn))
    return centre[0] * QUARTER + (c * x - s * y) // UNIT, centre[1] * QUARTER + (s * x + c * y) // UNIT


def smooth_noise(dice: Dice, cell: int, amplitude: int = 256, stretch: int = 1) -> np.ndarray:
    """Smooth noise in -amplitude … amplitude with features of `cell` canvas pixels, `stretch` times longer in x."""
    rows = _lattice_weights(dice, cell)
    columns = _lattice_weights(dice, cell * stretch)
    table = dice.rolls(-amplitude, amplitude, (int(rows[0].max()) + 2, int(columns[0].max()) + 2))
    along_y = _blend(table[rows[0]], table[rows[0] + 1], rows[1][:, None])
    return _blend(along_y[:, columns[0]], along_y[:, columns[0] + 1], columns[1][None, :])


def fractal_noise(dice: Dice, cell: int, octaves: int = 4, amplitude: int = 256) -> np.ndarray:
    """Sum of smooth noises of halving cell and amplitude: clouds, stains, irregular outlines."""
    layers = [smooth_noise(dice, max(cell >> octave, 2), amplitude >> octave) for octave in range(octaves)]
    return np.array(layers).sum(axis=0, dtype=np.int32) // 2


def grain(dice: Dice, amplitude: int) -> np.ndarray:
    """Independent noise per canvas pixel, -amplitude … amplitude, two rolls added for a softer tail."""
    return (dice.rolls(-amplitude, amplitude, (SIDE, SIDE)) + dice.rolls(-amplitude, amplitude, (SIDE, SIDE))) // 2


def blur(values: np.ndarray, radius: int) -> np.ndarray:
    """Two passes of a box of 2 radius + 1 pixels along the first two axes, borders repeated."""
    for axis in (0, 1, 0, 1):
        values = _box(values, radius, axis)
    return values


def disc(x: np.ndarray, y: np.ndarray, radius: int) -> np.ndarray:
    """Signed distance to a circle of `radius` quarter pixels around the origin of (x, y)."""
    return length(x, y) - radius


def ellipse(x: np.ndarray, y: np.ndarray, half_width: int, half_height: int) -> np.ndarray:
    """Roughly signed distance to an ellipse around the origin of (x, y)."""
    small = min(half_width, half_height)
    return length(x * small // half_width, y * small // half_height) - small


def box(x: np.ndarray, y: np.ndarray, half_width: int, half_height: int, corner: int = 0) -> np.ndarray:
    """Signed distance to an upright box with rounded corners around the origin of (x, y)."""
    across, down = np.abs(x) - half_width + corner, np.abs(y) - half_height + corner
    outside = length(np.maximum(across, 0), np.maximum(down, 0))
    return outside + np.minimum(np.maximum(across, down), 0) - corner


def blob(dice: Dice, centre: tuple[int, int], radius: int) -> np.ndarray:
    """Signed distance to an irregular, roughly round outline of about `radius` quarter pixels."""
    x, y = grid(centre, dice.roll(0, 4095))
    outline = fractal_noise(dice, max(radius // 5, 4), 3, radius * dice.roll(30, 70) // 100)
    return ellipse(x, y, radius * dice.roll(80, 140) // 100, radius) + outline


def merge(a: np.ndarray, b: np.ndarray, fillet: int) -> np.ndarray:
    """Union of two signed distances with a rounded joint of `fillet` quarter pixels."""
    overlap = np.maximum(fillet - np.abs(a - b), 0)
    return np.minimum(a, b) - overlap * overlap // (4 * fillet)


def stroke(points: list[tuple[int, int]], reach: int = 60) -> np.ndarray:
    """Distance to a polyline of canvas points (1/4 pixel each); further than `reach` away it is just large."""
    nearest = np.full((SIDE, SIDE), 4 * SIDE * QUARTER, dtype=np.int32)
    for (x0, y0), (x1, y1) in pairwise(points):
        rows = slice(max((min(y0, y1) - reach) // QUARTER, 0), max((max(y0, y1) + reach) // QUARTER, 0))
        columns = slice(max((min(x0, x1) - reach) // QUARTER, 0), max((max(x0, x1) + reach) // QUARTER, 0))
        x, y = _X[rows, columns] - x0, _Y[rows, columns] - y0
        along = np.clip((x * (x1 - x0) + y * (y1 - y0)) * 64 // max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1), 0, 64)
        distance = length(x - along * (x1 - x0) // 64, y - along * (y1 - y0) // 64)
        nearest[rows, columns] = np.minimum(nearest[rows, columns], distance)
    return nearest


def wander(
    dice: Dice, start: tuple[int, int], heading: int, steps: int, stride: int, bend: int
) -> list[tuple[int, int]]:
    """A random walk from `start` (1/4 pixel): each step turns by up to `bend` and goes `stride` quarter pixels."""
    points = [start]
    for _ in range(steps):
        heading += dice.roll(-bend, bend)
        x, y = points[-1]
        points.append((x + stride * int(cosine(heading)) // UNIT, y + stride * int(sine(heading)) // UNIT))
    return points


def cover(distance: np.ndarray, soft: int = 3) -> np.ndarray:
    """Coverage 0 … 256 of a signed distance: an edge `2 soft` quarter pixels wide."""
    return np.clip((soft - distance) * FULL // (2 * soft), 0, FULL)


def nowhere() -> np.ndarray:
    """Empty coverage: the mask of a normal picture."""
    return np.zeros((SIDE, SIDE), dtype=np.int32)


def flat(colour: Colour) -> np.ndarray:
    """A canvas of one colour (0 … 255 each)."""
    return np.broadcast_to(np.array(colour, dtype=np.int32) * ONE, (SIDE, SIDE, 3)).copy()


def paint(canvas: np.ndarray, colour: Colour | np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """`canvas` with `colour` (a colour or another canvas) laid over it where coverage says."""
    target = colour if isinstance(colour, np.ndarray) else np.array(colour, dtype=np.int32) * ONE
    return canvas + (target - canvas) * coverage[..., None] // FULL


def shade(canvas: np.ndarray, gain: np.ndarray | int) -> np.ndarray:
    """`canvas` times (256 + gain) / 256."""
    factor = gain[..., None] if isinstance(gain, np.ndarray) else gain
    return canvas * (256 + factor) // 256


def relief(height: np.ndarray, strength: int = 4, turn: int = 2560) -> np.ndarray:
    """Gain of a surface of that height lit from the direction `turn` (default upper left)."""
    slope_x = np.diff(height, axis=1, prepend=height[:, :1])
    slope_y = np.diff(height, axis=0, prepend=height[:1])
    return np.clip(-(slope_x * int(cosine(turn)) + slope_y * int(sine(turn))) * strength // UNIT, -160, 160)


def light(dice: Dice, canvas: np.ndarray, strength: int = 36) -> np.ndarray:
    """Uneven light: a gradient in a random direction, a wide bright or dim spot, slight vignetting."""
    x, _ = grid(turn=dice.roll(0, 4095))
    spot_x, spot_y = grid(centre=(dice.roll(0, SIDE), dice.roll(0, SIDE)))
    slope = x * dice.roll(0, strength) // (SIDE * 2)
    spot = dice.roll(-strength // 2, strength) * np.maximum(900 - length(spot_x, spot_y), 0) // 900
    corner = -length(*grid()) * dice.roll(0, strength) // 1400
    return shade(canvas, slope + spot + corner)


def cast_shadow(dice: Dice, canvas: np.ndarray, chance: int = 4) -> np.ndarray:
    """In one picture of `chance`, a soft straight shadow falls over a part of it: not a defect."""
    if dice.roll(1, chance) > 1:
        return canvas
    x, _ = grid(centre=(dice.roll(40, 216), dice.roll(40, 216)), turn=dice.roll(0, 4095))
    return shade(canvas, -dice.roll(25, 70) * cover(x, dice.roll(12, 60)) // FULL)


def finish(dice: Dice, canvas: np.ndarray, noise: int = 6, swing: int = 38, defocus: int = 123) -> np.ndarray:
    """The picture, uint8 [128, 128, 3]: averaged down, then seen by one of a line's cameras, whatever it shows.

    Brightness and contrast (about mid grey) vary by up to swing / 256 (15 %), blur mixes in up to defocus / 256
    (standard deviation up to 0.8 pixels), noise reaches up to `noise` grey levels.
    """
    half = _by_fours(canvas) // 4
    half = _blend(half, blur(half, 1), dice.roll(0, defocus))
    middle = 128 * ONE
    half = shade(shade(half - middle, dice.roll(-swing, swing)) + middle, dice.roll(-swing, swing))
    amplitude = dice.roll(1, noise) * ONE
    shared = dice.rolls(-amplitude, amplitude, half.shape[:2])[..., None]
    colour = dice.rolls(-amplitude // 2, amplitude // 2, half.shape)
    return np.clip((half + shared + colour + ONE // 2) // ONE, 0, 255).astype(np.uint8)


def finish_mask(coverage: np.ndarray) -> np.ndarray:
    """The mask, uint8 [128, 128], 255 where at least three eighths of a pixel are covered (thin lines stay whole)."""
    return np.where(_by_fours(coverage) >= 4 * FULL * 3 // 8, 255, 0).astype(np.uint8)


def _by_fours(values: np.ndarray) -> np.ndarray:
    """Sums over squares of 2 × 2 canvas pixels."""
    rows = values[::2] + values[1::2]
    return rows[:, ::2] + rows[:, 1::2]


def _lattice_weights(dice: Dice, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Lattice index and smoothstep weight (0 … 256) of each of the canvas's lines, from a random offset."""
    position = np.arange(SIDE) + dice.roll(0, cell - 1)
    t = (position % cell) * FULL // cell
    return position // cell, (t * t * (3 * FULL - 2 * t) // (FULL * FULL)).astype(np.int32)


def _blend(low: np.ndarray, high: np.ndarray, weight: np.ndarray | int) -> np.ndarray:
    return low + (high - low) * weight // FULL


def _box(values: np.ndarray, radius: int, axis: int) -> np.ndarray:
    if not radius:
        return values
    pad = [(0, 0)] * values.ndim
    pad[axis] = (radius + 1, radius)
    sums = np.moveaxis(np.cumsum(np.pad(values, pad, mode="edge"), axis=axis, dtype=np.int32), axis, 0)
    width = 2 * radius + 1
    return np.moveaxis((sums[width:] - sums[:-width]) // width, 0, axis)
