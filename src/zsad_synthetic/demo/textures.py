"""Demo target of textures: corduroy, cork and honeycomb panel."""

import numpy as np

from zsad_synthetic.demo.canvas import (
    FULL,
    blob,
    blur,
    cast_shadow,
    cover,
    ellipse,
    flat,
    fractal_noise,
    grain,
    grid,
    light,
    nowhere,
    paint,
    relief,
    shade,
    smooth_noise,
    stroke,
    wander,
)
from zsad_synthetic.demo.cellular import hexagonal, scattered
from zsad_synthetic.demo.integer_math import Dice
from zsad_synthetic.demo.scenes import Drawing

CLOTH = [(112, 74, 44), (58, 78, 52), (44, 56, 92), (170, 128, 58), (104, 38, 48), (128, 120, 108)]
CORKS = [(190, 140, 90), (176, 132, 92), (196, 154, 104), (170, 120, 76)]
WAX = [(176, 178, 182), (188, 152, 82), (158, 142, 116), (120, 124, 130)]


def corduroy(dice: Dice, defect: str) -> Drawing:
    """Ribbed cloth. Normal pictures differ in colour, wale, direction, wear along the ribs, creases."""
    pitch, turn = dice.roll(40, 80), dice.roll(-600, 600) + 1024 * dice.roll(0, 1)
    centre = (dice.roll(50, 206), dice.roll(50, 206))
    x, y = grid(centre, turn)
    across = x + smooth_noise(dice, 64, dice.roll(4, 14)) + 8192 * pitch
    coverage = nowhere()
    if defect == "pulled_rib":
        bulge = cover(ellipse(x, y, dice.roll(64, 120), dice.roll(110, 230)), dice.roll(30, 45))
        across = across + dice.sign() * bulge * pitch * dice.roll(45, 90) // (100 * FULL)
        coverage = np.where(bulge > FULL // 3, FULL, 0)
    phase = across % pitch
    rib = phase * (pitch - phase) * 1024 // (pitch * pitch)
    cloth = shade(flat(dice.pick(CLOTH)), (rib - 190) * dice.roll(50, 90) // 100)
    pile = _along(dice, turn)
    cloth = shade(cloth, pile * dice.roll(8, 20) // 256 + grain(dice, 26))
    cloth = shade(cloth, fractal_noise(dice, 90, 2) * dice.roll(4, 20) // 256)
    if defect == "pulled_rib":
        cloth = shade(cloth, coverage * dice.sign() * dice.roll(15, 50) // FULL)
    elif defect == "bleach_patch":
        coverage = cover(blob(dice, centre, dice.roll(80, 185)), dice.roll(12, 36))
        pale = shade(cloth, 60) * 3 // 4 + 4080 * dice.roll(24, 34) // 100 // 2
        cloth = paint(cloth, pale, coverage * dice.roll(60, 100) // 100)
    elif defect == "moth_bite":
        spots = [(centre[0] + dice.roll(-45, 45), centre[1] + dice.roll(-45, 45)) for _ in range(dice.roll(1, 3))]
        coverage = cover(np.minimum.reduce([blob(dice, spot, dice.roll(54, 120)) for spot in spots]), 5)
        weave = shade(flat((90, 84, 76)), grain(dice, 60) - 70)
        cloth = paint(cloth, weave, coverage * dice.roll(85, 100) // 100)
    return cast_shadow(dice, light(dice, cloth)), coverage


def cork(dice: Dice, defect: str) -> Drawing:
    """Pressed cork. Normal pictures differ in granule size, tone, dark bark crumbs, gaps between granules."""
    x, y = grid(turn=dice.roll(0, 4095))
    warp = smooth_noise(dice, 14, 14)
    cells = scattered(dice, x + warp, y - warp, dice.roll(40, 84))
    board = shade(flat(dice.pick(CORKS)), dice.roll(-40, 20))
    board = shade(board, cells.per_cell(dice, -46, 36))
    bark = np.where(cells.per_cell(dice, 0, 99) < dice.roll(3, 12), FULL * 3 // 5, 0)
    board = paint(board, (86, 56, 36), bark)
    board = shade(board, -np.maximum(10 - cells.border, 0) * dice.roll(3, 9))
    board = shade(board, fractal_noise(dice, 10, 2) * 40 // 256 + grain(dice, 20))
    centre = (dice.roll(44, 212), dice.roll(44, 212))
    coverage = nowhere()
    if defect == "burn_spot":
        distance = blob(dice, centre, dice.roll(75, 165))
        coverage = cover(distance, 10)
        strength = dice.roll(65, 100)
        board = paint(board, (104, 62, 34), cover(distance, 40) * strength // 100)
        board = paint(board, (34, 24, 20), cover(distance + 36, 40) * strength // 100)
    elif defect == "knife_gouge":
        board, coverage = _gouge(dice, board, centre)
    return cast_shadow(dice, light(dice, board)), coverage


def honeycomb(dice: Dice, defect: str) -> Drawing:
    """Hexagonal core panel. Normal pictures differ in cell size, angle, wall colour, shade in the cells."""
    pitch = dice.roll(88, 150)
    centre = (dice.roll(50, 206), dice.roll(50, 206))
    x, y = grid(centre, dice.roll(0, 4095))
    wobble = smooth_noise(dice, 60, dice.roll(2, 8))
    coverage = nowhere()
    if defect == "crushed_cell":
        reach = pitch * dice.roll(120, 220) // 100
        squeeze = cover(ellipse(x, y, reach, reach) + reach // 2, reach // 2)
        push, pull = (smooth_noise(dice, 28, pitch * dice.roll(70, 120) // 100) for _ in range(2))
        x, y = x + push * squeeze // FULL, y + pull * squeeze // FULL
        coverage = np.where(squeeze > FULL // 3, FULL, 0)
    cells = hexagonal(x + wobble, y - wobble, pitch)
    wall = cover(cells.border - dice.roll(10, 22), 5)
    floor = shade(flat((74, 66, 56)), relief(cells.nearest * 3, 3) + dice.roll(-40, 60) + cells.per_cell(dice, -24, 24))
    panel = paint(shade(floor, grain(dice, 26)), shade(flat(dice.pick(WAX)), grain(dice, 24)), wall)
    panel = shade(panel, relief(blur(wall, 1), 2) // 2)
    if defect == "crushed_cell":
        panel = shade(panel, squeeze * dice.sign() * dice.roll(20, 70) // FULL)
    elif defect == "resin_fill":
        reach = dice.roll(0, pitch // 4)
        rows, columns = (slice(middle - reach, middle + reach + 1) for middle in (centre[1], centre[0]))
        coverage = np.where(np.isin(cells.number, np.unique(cells.number[rows, columns])), FULL, 0)
        resin = shade(flat(dice.pick([(196, 160, 84), (150, 120, 70), (206, 200, 186)])), smooth_noise(dice, 30, 40))
        panel = paint(panel, resin, blur(coverage, 1) * dice.roll(65, 100) // 100)
    return cast_shadow(dice, light(dice, panel)), coverage


def _along(dice: Dice, turn: int) -> np.ndarray:
    """Noise drawn out along the ribs: sampled from a stretched field turned with them."""
    field = smooth_noise(dice, 3, 256, 1) + smooth_noise(dice, 5, 256, 1)
    x, y = grid(turn=turn)
    return field[(y // 32) & 255, (x // 5) & 255]


def _gouge(dice: Dice, board: np.ndarray, centre: tuple[int, int]) -> Drawing:
    path = wander(dice, (centre[0] * 4, centre[1] * 4), dice.roll(0, 4095), dice.roll(8, 16), 48, 70)
    distance = stroke(path) - dice.roll(14, 34)
    coverage = cover(distance, 3)
    strength = dice.roll(70, 130)
    groove = shade(board, relief(np.clip(-distance, 0, 20) * -8, 6) * strength // 100 - strength * 60 // 100)
    return paint(board, groove, cover(distance - 3, 4)), coverage
