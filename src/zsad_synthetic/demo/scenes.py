"""What several demo pictures share: benches to lie on, shadows, metal."""

import numpy as np

from zsad_synthetic.demo.canvas import (
    Colour,
    blur,
    cover,
    flat,
    fractal_noise,
    grain,
    grid,
    paint,
    shade,
    smooth_noise,
)
from zsad_synthetic.demo.integer_math import Dice

Drawing = tuple[np.ndarray, np.ndarray]  # canvas, and coverage of the defect
BENCHES: list[Colour] = [
    (92, 96, 102),
    (206, 206, 200),
    (64, 84, 110),
    (58, 60, 62),
    (150, 112, 78),
    (118, 132, 116),
    (226, 220, 208),
    (172, 170, 176),
]


def bench(dice: Dice) -> np.ndarray:
    """A background: painted, wooden or woven, plain or worn; its streaks and seams are not defects."""
    ground = shade(flat(dice.pick(BENCHES)), dice.roll(-40, 30))
    ground = shade(ground, fractal_noise(dice, dice.roll(20, 120), 3) * dice.roll(4, 30) // 256 + grain(dice, 16))
    kind = dice.roll(0, 3)
    if kind == 0:
        streaks = smooth_noise(dice, dice.roll(3, 7), 256, 24) + smooth_noise(dice, 12, 256, 12)
        ground = shade(ground, (streaks if dice.roll(0, 1) else streaks.T) * dice.roll(10, 26) // 256)
    elif kind == 1:
        pitch = dice.roll(14, 40)
        x, y = grid(turn=dice.roll(0, 4095))
        ground = shade(ground, ((np.abs(x % pitch - pitch // 2) + np.abs(y % pitch - pitch // 2)) - pitch // 2))
    elif kind == 2:
        seam, _ = grid((dice.roll(10, 246), dice.roll(10, 246)), dice.roll(0, 4095))
        ground = shade(ground, cover(np.abs(seam) - 4) * -dice.roll(30, 90) // 256)
    return ground


def drop_shadow(dice: Dice, ground: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """`ground` darkened beside a shape (signed distance) that lies on it."""
    right, down = dice.roll(-7, 7), dice.roll(-7, 7)
    shadow = blur(np.roll(cover(shape, 8), (down, right), axis=(0, 1)), dice.roll(2, 6))
    return shade(ground, shadow * -dice.roll(40, 130) // 256)


def metal(dice: Dice, colours: list[Colour]) -> np.ndarray:
    """A metal surface: brushed to some degree, with a broad reflection across."""
    surface = flat(dice.pick(colours))
    brushed = smooth_noise(dice, 2, 256, dice.roll(4, 30))
    surface = shade(surface, (brushed if dice.roll(0, 1) else brushed.T) * dice.roll(4, 34) // 256)
    band, _ = grid((dice.roll(60, 196), dice.roll(60, 196)), dice.roll(0, 4095))
    gloss = cover(np.abs(band) - dice.roll(40, 160), dice.roll(80, 200))
    return paint(surface, (250, 250, 250), gloss * dice.roll(0, 40) // 100)
