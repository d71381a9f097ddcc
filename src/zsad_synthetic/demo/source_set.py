"""Demo auxiliary source: linen and terrazzo (textures), gasket and tablet (objects on backgrounds)."""

import numpy as np

from zsad_synthetic.demo.canvas import (
    FULL,
    QUARTER,
    blob,
    blur,
    box,
    cast_shadow,
    cover,
    disc,
    ellipse,
    flat,
    fractal_noise,
    grain,
    grid,
    light,
    merge,
    nowhere,
    paint,
    place,
    relief,
    shade,
    smooth_noise,
    stroke,
    wander,
)
from zsad_synthetic.demo.cellular import scattered
from zsad_synthetic.demo.integer_math import TURN, Dice
from zsad_synthetic.demo.scenes import Drawing, bench, drop_shadow

YARNS = [(206, 190, 158), (224, 220, 208), (150, 154, 148), (92, 116, 148), (136, 150, 116), (176, 122, 104)]
CEMENTS = [(206, 202, 194), (150, 148, 144), (92, 94, 98), (216, 200, 176), (160, 174, 170)]
CHIPS = [(112, 84, 70), (236, 232, 224), (60, 62, 66), (168, 116, 88), (98, 118, 110), (196, 178, 140)]
SEALS = [(38, 38, 40), (150, 52, 44), (164, 138, 100), (72, 92, 120), (104, 106, 100)]
PILLS = [(240, 238, 232), (244, 222, 160), (238, 188, 186), (240, 176, 110), (180, 206, 226), (206, 226, 190)]


def linen(dice: Dice, defect: str) -> Drawing:
    """Plain weave. Normal pictures differ in yarn, pitch, direction, uneven yarns, creases."""
    centre, turn = (dice.roll(52, 204), dice.roll(52, 204)), dice.roll(-160, 160)
    pitch = dice.roll(26, 46)
    x, y = grid(centre, turn)
    u = x + smooth_noise(dice, 50, dice.roll(3, 10)) + 8192 * pitch
    v = y + smooth_noise(dice, 50, dice.roll(3, 10)) + 8192 * pitch
    warp, weft = _thread(dice, u, pitch), _thread(dice, v, pitch)
    over = ((u // pitch + v // pitch) & 1) == 1
    swell = np.where(over, warp[0] * (128 + weft[0] // 2), weft[0] * (128 + warp[0] // 2)) // FULL
    cloth = shade(flat(dice.pick(YARNS)), (swell - 170) * dice.roll(45, 80) // 100 + np.where(over, warp[1], weft[1]))
    cloth = shade(cloth, fractal_noise(dice, 100, 2) * dice.roll(4, 24) // 256 + grain(dice, 18))
    coverage = nowhere()
    if defect == "snag":
        cloth, coverage = _snag(dice, cloth, (centre[0] * QUARTER, centre[1] * QUARTER))
    elif defect == "slub":
        distance = ellipse(x, y, dice.roll(140, 340), pitch * dice.roll(90, 180) // 100) + smooth_noise(dice, 8, 8)
        coverage = cover(distance)
        yarn = shade(cloth * 5 // 8 + blur(cloth, 4) * 3 // 8, relief(np.clip(-distance, 0, 40) * 3, 4))
        cloth = paint(cloth, shade(yarn, dice.roll(5, 90)), cover(distance, 6))
    elif defect == "missing_pick":
        high = pitch * (dice.roll(40, 60) + 100 * dice.roll(0, 1)) // 100  # one pick, or three side by side
        gap = box(x, (v - 8192 * pitch) - pitch // 2, dice.roll(240, 500), high)
        coverage = cover(gap)
        cloth = shade(cloth, coverage * -dice.roll(70, 150) // FULL)
    return cast_shadow(dice, light(dice, cloth)), coverage


def terrazzo(dice: Dice, defect: str) -> Drawing:
    """Stone chips in cement. Normal pictures differ in cement, chip sizes and colours, polish, a brass strip."""
    x, y = grid(turn=dice.roll(0, TURN - 1))
    floor = shade(flat(dice.pick(CEMENTS)), fractal_noise(dice, 8, 2) * 30 // 256)
    chip_colours = [dice.pick(CHIPS) for _ in range(3)]
    for pitch in (dice.roll(44, 64), dice.roll(84, 150)):
        wobble = smooth_noise(dice, 8, 8)
        cells = scattered(dice, x + wobble, y - wobble, pitch)
        chosen = cells.per_cell(dice, 0, 99) < dice.roll(30, 75)
        chips = np.where(chosen, cover(dice.roll(6, 16) - cells.border, 4), 0)
        colours = np.array(chip_colours, dtype=np.int32)[cells.per_cell(dice, 0, 2)] * 16
        floor = paint(floor, shade(colours, cells.per_cell(dice, -40, 40)), chips)
    if dice.roll(0, 5) == 0:
        strip, _ = grid((dice.roll(40, 216), dice.roll(40, 216)), dice.roll(0, TURN - 1))
        floor = paint(floor, (186, 158, 96), cover(np.abs(strip) - 12))
    floor = shade(floor, grain(dice, 18) + fractal_noise(dice, 90, 2) * dice.roll(2, 18) // 256)
    coverage = nowhere()
    if defect == "stain_ring":
        floor, coverage = _stain_ring(dice, floor)
    elif defect == "pop_out":
        lost = [int(cells.number[dice.roll(50, 206), dice.roll(50, 206)]) for _ in range(dice.roll(1, 4))]
        hollow = np.where(np.isin(cells.number, lost), cells.border, -64)
        coverage = cover(6 - hollow)
        pit = shade(flat(dice.pick(CEMENTS)), fractal_noise(dice, 6, 2) * 70 // 256 - dice.roll(70, 150))
        pit = shade(pit, relief(np.clip(hollow, 0, 30) * -dice.roll(3, 8), 4))
        floor = paint(floor, pit, coverage * dice.roll(85, 100) // 100)
    return cast_shadow(dice, light(dice, floor)), coverage


def gasket(dice: Dice, defect: str) -> Drawing:
    """A flange gasket. Normal pictures differ in size, bolt holes, material, print, angle, bench."""
    centre, turn = (dice.roll(116, 140), dice.roll(116, 140)), dice.roll(0, TURN - 1)
    x, y = grid(centre, turn)
    outer = dice.roll(280, 370)
    inner, count = outer * dice.roll(48, 66) // 100, dice.roll(2, 6)
    bolts = [place((0, 0), TURN * bolt // count, outer + 8, 0) for bolt in range(count)]
    lugs = np.minimum.reduce([disc(x - across, y - down, outer // 4) for across, down in bolts])
    holes = [disc(x - across, y - down, outer // 8) for across, down in bolts]
    blank = np.maximum(merge(disc(x, y, outer), lugs, 60), -disc(x, y, inner))
    shape = np.maximum(blank, -np.minimum.reduce(holes))
    coverage = nowhere()
    if defect == "chip_out":
        edge = place(centre, turn + dice.roll(0, TURN - 1), (outer, inner)[dice.roll(0, 1)], 0)
        bite = blob(dice, (edge[0] // QUARTER, edge[1] // QUARTER), dice.roll(80, 170))
        coverage = np.minimum(cover(bite), cover(shape))
        shape = np.maximum(shape, -bite)
    elif defect == "moulding_flash":
        edge = place(centre, turn + dice.roll(0, TURN - 1), (outer, inner)[dice.roll(0, 1)], 0)
        film = np.maximum(blob(dice, (edge[0] // QUARTER, edge[1] // QUARTER), dice.roll(80, 180)), -shape)
        coverage = cover(film)
    elif defect == "blocked_hole":
        first, blocked = dice.roll(0, count - 1), dice.roll(1, count)
        plug = np.minimum.reduce([holes[(first + step) % count] for step in range(blocked)]) - dice.roll(0, 28)
        coverage = cover(plug)
        shape = np.where(plug < 8, blank, shape)
    material = shade(flat(dice.pick(SEALS)), fractal_noise(dice, 6, 2) * dice.roll(6, 40) // 256 + grain(dice, 22))
    material = shade(material, relief(np.clip(-shape, 0, 16) * 4, 5))
    scene = drop_shadow(dice, bench(dice), shape)
    if defect == "moulding_flash":
        scene = paint(scene, shade(material, dice.roll(20, 80)), coverage * dice.roll(60, 100) // 100)
    scene = paint(scene, _print(dice, material, x, y, (outer + inner) // 2), cover(shape))
    if defect == "blocked_hole":
        scene = shade(scene, coverage * dice.sign() * dice.roll(35, 80) // FULL)
    return cast_shadow(dice, light(dice, scene)), coverage


def tablet(dice: Dice, defect: str) -> Drawing:
    """A pressed tablet. Normal pictures differ in form, colour, score line, imprint, specks of the mass, tray."""
    centre, turn = (dice.roll(112, 144), dice.roll(112, 144)), dice.roll(0, TURN - 1)
    x, y = grid(centre, turn)
    half = dice.roll(240, 360)
    high = half if dice.roll(0, 1) else half * dice.roll(46, 62) // 100
    shape = box(x, y, half, high, high)
    coverage = nowhere()
    if defect == "crumbled_edge":
        end = turn + dice.roll(0, 1) * TURN // 2
        spot = place(centre, end, half - high, 0)
        spot = place((spot[0] // QUARTER, spot[1] // QUARTER), end + dice.roll(-1000, 1000), high, 0)
        bite = blob(dice, (spot[0] // QUARTER, spot[1] // QUARTER), dice.roll(80, 170))
        coverage = np.minimum(cover(bite), cover(shape))
    mass = shade(flat(dice.pick(PILLS)), fractal_noise(dice, 5, 2) * dice.roll(4, 24) // 256 + grain(dice, 8))
    bevel = dice.roll(24, 70)
    mass = shade(mass, relief(np.clip(-shape, 0, bevel) * 2, dice.roll(4, 8)))
    groove = np.abs(x) - 6 if dice.roll(0, 1) else np.abs(disc(x, y, high * 60 // 100)) - 5
    mass = shade(mass, relief(np.clip(-groove, 0, 6) * -6, 4) + cover(groove) * -dice.roll(0, 40) // FULL)
    mass = _imprint(dice, mass, x, y, high)
    if defect == "foreign_fleck":
        at = place(centre, turn, dice.roll(-half, half) * 6 // 10, dice.roll(-high, high) * 5 // 10)
        fleck = blob(dice, (at[0] // QUARTER, at[1] // QUARTER), dice.roll(44, 120))
        coverage = np.minimum(cover(fleck), cover(shape))
        colour = dice.pick([(60, 44, 36), (40, 40, 44), (150, 96, 50), (120, 40, 44), (60, 90, 70)])
        mass = paint(mass, colour, cover(fleck) * dice.roll(50, 100) // 100)
    elif defect == "capping_split":
        at = place(centre, turn, dice.roll(-half, half) // 3, dice.roll(-high, high) // 3)
        split = stroke(wander(dice, at, dice.roll(0, TURN - 1), dice.roll(9, 18), 34, 260)) - dice.roll(12, 28)
        coverage = np.minimum(cover(split), cover(shape))
        mass = shade(
            mass, np.clip(relief(np.clip(-split, 0, 8) * -9, 4), -90, 50) - cover(split) * dice.roll(70, 150) // FULL
        )
    elif defect == "crumbled_edge":
        rough = shade(mass, fractal_noise(dice, 6, 2) * 60 // 256 - dice.roll(30, 80))
        mass = paint(mass, rough, cover(bite))
        shape = np.maximum(shape, -(bite + dice.roll(10, 40)))
    scene = paint(drop_shadow(dice, bench(dice), shape), mass, cover(shape))
    return cast_shadow(dice, light(dice, scene)), coverage


def _thread(dice: Dice, across: np.ndarray, pitch: int) -> tuple[np.ndarray, np.ndarray]:
    """(rounding of the threads 0 … 256, brightness of each) of one direction, by the coordinate across them."""
    phase = across % pitch
    number = (across // pitch) & 255
    return phase * (pitch - phase) * 1024 // (pitch * pitch), dice.rolls(-26, 22, (256,))[number]


def _snag(dice: Dice, cloth: np.ndarray, start: tuple[int, int]) -> Drawing:
    """A pulled loop of yarn that lies on the cloth and throws a shadow."""
    loop = stroke(wander(dice, start, dice.roll(0, TURN - 1), dice.roll(10, 22), 34, 420)) - dice.roll(12, 30)
    cloth = shade(cloth, np.roll(cover(loop, 8), (4, 3), axis=(0, 1)) * -dice.roll(60, 130) // FULL)
    yarn = shade(blur(cloth, 6), dice.roll(10, 100) + relief(np.clip(-loop, 0, 16) * 8, 4))
    return paint(cloth, shade(yarn, grain(dice, 30)), cover(loop)), cover(loop - 4)


def _stain_ring(dice: Dice, floor: np.ndarray) -> Drawing:
    """What a dried puddle leaves: a dark rim around a slightly tinted inside."""
    outline = blob(dice, (dice.roll(48, 208), dice.roll(48, 208)), dice.roll(90, 200))
    tint = dice.pick([(112, 78, 46), (84, 72, 66), (140, 108, 60)])
    strength = dice.roll(50, 100)
    floor = paint(floor, tint, cover(outline, 8) * strength // 200)
    rim = cover(np.abs(outline + 10) - dice.roll(6, 16), 8)
    return paint(floor, tint, rim * strength // 100), cover(outline - 4)


def _print(dice: Dice, surface: np.ndarray, x: np.ndarray, y: np.ndarray, radius: int) -> np.ndarray:
    """In half of the pictures a printed part number: short bars along the ring."""
    if dice.roll(0, 1):
        return surface
    bars = np.where((x + 4096) // 10 % 4 < 1 + ((x + 4096) // 40) % 3, y - radius, 64)
    text = np.maximum(np.abs(bars) - 16, np.abs(x) - dice.roll(60, 130))
    ink: tuple[int, int, int] = (224, 222, 214) if dice.roll(0, 1) else (24, 24, 26)
    return paint(surface, ink, cover(text) * dice.roll(50, 90) // 100)


def _imprint(dice: Dice, mass: np.ndarray, x: np.ndarray, y: np.ndarray, high: int) -> np.ndarray:
    """In most pictures two debossed signs."""
    if dice.roll(0, 3) == 0:
        return mass
    size = high * dice.roll(20, 32) // 100
    signs = []
    for offset in (-high // 2, high // 2):
        ring = np.abs(box(x - offset, y, size * 6 // 10, size, size // 2)) - 6
        bar = box(x - offset, y, 7, size)
        signs.append((ring, bar, np.minimum(bar, box(x - offset, y + size, size // 2, 7)))[dice.roll(0, 2)])
    sign = np.minimum.reduce(signs)
    return shade(mass, relief(np.clip(-sign, 0, 6) * -7, 5) - cover(sign) * dice.roll(10, 60) // FULL)
