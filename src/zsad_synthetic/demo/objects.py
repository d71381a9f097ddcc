"""Demo target of objects on backgrounds: gear, key and light bulb."""

import numpy as np

from zsad_synthetic.demo.canvas import (
    FULL,
    QUARTER,
    blob,
    box,
    cast_shadow,
    cover,
    disc,
    ellipse,
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
)
from zsad_synthetic.demo.integer_math import TURN, Dice, angle_of, cosine, length
from zsad_synthetic.demo.scenes import Drawing, bench, drop_shadow, metal

METALS = [(150, 152, 158), (176, 146, 84), (104, 104, 110), (168, 120, 92), (196, 198, 200)]
GLASS = [(214, 216, 214), (226, 212, 170), (196, 208, 214), (236, 232, 220)]


def gear(dice: Dice, defect: str) -> Drawing:
    """A spur gear. Normal pictures differ in teeth, bore, lightening holes, metal, machining marks, place and size."""
    centre = (dice.roll(110, 146), dice.roll(110, 146))
    x, y = grid(centre)
    radius, angle = length(x, y), (angle_of(x, y) + dice.roll(0, TURN - 1)) % TURN
    outer, teeth = dice.roll(310, 430), dice.roll(9, 18)
    depth = outer * dice.roll(14, 22) // 100
    bore = outer * dice.roll(16, 30) // 100
    flank = np.clip(np.abs(angle * teeth % TURN - TURN // 2) - dice.roll(860, 1040), -300, 300)
    rim = outer - depth * (300 + flank) // 600
    opening = np.minimum(disc(x, y, bore), box(x, y + bore, bore // 3, bore // 3))
    holes, spoke = _lightening_holes(dice, x, y, bore, outer - depth)
    opening = np.minimum(opening, holes)
    shape = np.maximum(radius - rim, -opening)
    coverage = nowhere()
    if defect == "missing_tooth":
        first, tooth = dice.roll(1, teeth - 5), angle * teeth // TURN
        broken = (tooth >= first) & (tooth < first + dice.roll(2, 5))
        stump = outer - depth * dice.roll(90, 160) // 100 + smooth_noise(dice, 5, 10)
        stumped = np.where(broken, np.maximum(shape, radius - stump), shape)
        coverage = cover(shape) - cover(stumped)
        shape = stumped
    surface = metal(dice, METALS)
    surface = shade(surface, smooth_noise(dice, 4, dice.roll(6, 30))[(radius // 8) & 255, 0])
    surface = shade(surface, cosine(2 * angle) * dice.roll(0, 50) // TURN + relief(np.clip(-shape, 0, 14) * 6, 4))
    if defect == "dent_shading":
        middle = (bore + outer - depth) // 2
        across, down = place(centre, spoke, middle, 0)
        surface, dent = _dent(dice, surface, (across // QUARTER, down // QUARTER))
        coverage = np.minimum(dent, cover(shape))
    scene = paint(drop_shadow(dice, bench(dice), shape), surface, cover(shape))
    return cast_shadow(dice, light(dice, scene)), coverage


def key(dice: Dice, defect: str) -> Drawing:
    """A door key. Normal pictures differ in head, bits, metal, angle, size, engraving, background."""
    centre = (dice.roll(118, 138), dice.roll(118, 138))
    turn = dice.roll(-500, 500) + 1024 * dice.roll(0, 3)
    x, y = grid(centre, turn)
    cut = [dice.roll(*limits) for limits in ((22, 34), (100, 150), (0, 1), (30, 46), *[(0, 64)] * 6)]
    shape, coverage = _key_shape(x, y, cut), nowhere()
    if defect == "bent_shaft":
        beyond = np.clip(x - dice.roll(-80, 40), 0, 400)
        bend = dice.sign() * beyond * beyond * dice.roll(22, 55) // 40000
        shape = _key_shape(x, y + bend, cut)
        coverage = np.where(np.abs(bend) > 8, cover(shape), 0)
    surface = shade(metal(dice, METALS), relief(np.clip(-shape, 0, 18) * 5, 5) + grain(dice, 10))
    engraving = np.abs(disc(x + 220, y, cut[1] * dice.roll(60, 86) // 100)) - 3
    surface = shade(surface, cover(engraving) * dice.roll(-50, 10) // FULL)
    if defect == "verdigris":
        across, down = place(centre, turn, dice.roll(-280, 160), dice.roll(-16, 16))
        growth = blob(dice, (across // QUARTER, down // QUARTER), dice.roll(85, 180))
        coverage = np.minimum(cover(growth), cover(shape))
        patina = shade(paint(surface, (74, 140, 116), nowhere() + FULL * dice.roll(55, 100) // 100), grain(dice, 40))
        surface = paint(surface, patina, cover(growth, 14))
    scene = paint(drop_shadow(dice, bench(dice), shape), surface, cover(shape))
    return cast_shadow(dice, light(dice, scene)), coverage


def bulb(dice: Dice, defect: str) -> Drawing:
    """A light bulb. Normal pictures differ in size, tint, glow, cap metal, angle, background, reflections."""
    centre = (dice.roll(116, 140), dice.roll(116, 140))
    turn = dice.roll(-300, 300) + 1024 * dice.roll(0, 3)
    x, y = grid(centre, turn)
    size = dice.roll(200, 280)
    neck = box(x, y - size * 50 // 100, size * 40 // 100, size * 60 // 100, 20)
    glass = merge(disc(x, y + size * 45 // 100, size), neck, size * 60 // 100)
    ridge = np.abs((y + 8192) % 44 - 22)
    cap = box(x, y - size * 135 // 100, size * 40 // 100 - ridge // 3, size * 40 // 100, 16)
    scene = drop_shadow(dice, bench(dice), np.minimum(glass, cap))
    inside = paint(scene, dice.pick(GLASS), cover(glass) * dice.roll(35, 80) // 100)
    inside = shade(inside, np.clip(90 + glass, 0, 90) * -dice.roll(20, 80) // 90)
    inside = shade(inside, np.clip(size - length(x, y + size // 2), 0, size) * dice.roll(0, 100) // size)
    wire, flaw = _filament(dice, centre, turn, size, defect == "broken_filament")
    inside = paint(inside, (52, 48, 46), cover(wire - 6) * dice.roll(75, 100) // 100)
    coverage = cover(flaw) if defect == "broken_filament" else nowhere()
    if defect == "soot_cap":
        across, down = place(centre, turn, dice.roll(-size // 2, size // 2), -size * dice.roll(40, 110) // 100)
        smoke = blob(dice, (across // QUARTER, down // QUARTER), dice.roll(100, 190))
        coverage = np.minimum(cover(smoke), cover(glass))
        inside = paint(inside, (36, 32, 32), cover(smoke, dice.roll(20, 60)) * dice.roll(50, 95) // 100)
    shine = ellipse(x + size * 45 // 100, y + size * 80 // 100, size // 9, size * 30 // 100)
    inside = paint(inside, (255, 255, 250), cover(shine, 16) * dice.roll(10, 80) // 100)
    scene = paint(scene, inside, cover(glass))
    barrel = ridge * 3 - 36 - np.abs(np.abs(x) - size // 6) // 2
    scene = paint(scene, shade(metal(dice, METALS), barrel), cover(cap))
    return cast_shadow(dice, light(dice, scene)), coverage


def _lightening_holes(dice: Dice, x: np.ndarray, y: np.ndarray, bore: int, rim: int) -> tuple[np.ndarray, int]:
    """Signed distance to up to six round holes halfway between bore and rim, and a direction between two of them."""
    count, offset = dice.roll(0, 6), dice.roll(0, TURN - 1)
    radius = (rim - bore) * dice.roll(14, 26) // 100
    centres = [place((0, 0), offset + TURN * hole // count, (bore + rim) // 2, 0) for hole in range(count)]
    distances = [disc(x - across, y - down, radius) for across, down in centres]
    spoke = offset + (2 * dice.roll(0, 5) + 1) * TURN // max(2 * count, 1)
    return np.minimum.reduce([np.full_like(x, TURN), *distances]), spoke


def _dent(dice: Dice, surface: np.ndarray, at: tuple[int, int]) -> Drawing:
    """A shallow dent: one flank bright, the other dark, the floor duller."""
    outline = blob(dice, at, dice.roll(70, 140))
    bowl = relief(np.clip(-outline, 0, 48) * -dice.roll(6, 10), 4, dice.roll(0, TURN - 1))
    return shade(surface, bowl - cover(outline, 20) * dice.roll(25, 80) // FULL), cover(outline)


def _key_shape(x: np.ndarray, y: np.ndarray, cut: list[int]) -> np.ndarray:
    """Signed distance to a key along x; `cut`: shaft half width, head radius, head form, hole radius, bit depths."""
    width, head, form, hole, *bits = cut
    bow = disc(x + 220, y, head) if form else box(x + 220, y, head * 9 // 10, head, head // 3)
    bow = np.maximum(bow, -disc(x + 220 + head // 3, y, hole))
    blade = np.minimum(box(x - 80, y, 260, width, 8), box(x + 70, y, 12, width + 16, 4))
    teeth = [box(x - 110 - 38 * slot, y - width, 16, depth, 3) for slot, depth in enumerate(bits) if depth > 8]
    return merge(bow, np.minimum.reduce([blade, *teeth]), 30)


def _filament(dice: Dice, centre: tuple[int, int], turn: int, size: int, broken: bool) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the wire that is there; signed distance to where it is torn: gap, hanging piece, melted ends."""
    low, high, half = size * 70 // 100, -size * dice.roll(10, 50) // 100, size * dice.roll(30, 46) // 100
    zigzag = [(half * (2 * step - 10) // 10, high - 14 * (step % 2) * 2) for step in range(11)]
    lost = dice.roll(6, 9) if broken else 0
    gap = dice.roll(0, 10 - lost) if broken else 20
    sides = [[(-half // 3, low), (-half, high)], [(half // 3, low), (half, high)]]
    pieces = [*sides, zigzag[: gap + 1], zigzag[gap + lost :]]
    lines = [[place(centre, turn, *point) for point in piece] for piece in pieces if len(piece) > 1]
    wire = np.minimum.reduce([stroke(line) for line in lines])
    if not broken:
        return wire, wire
    missing = [place(centre, turn, *point) for point in zigzag[gap : gap + lost + 1]]
    pivot, swing = missing[-1], -dice.roll(400, 1200)
    turned = [place((0, 0), swing, across - pivot[0], down - pivot[1]) for across, down in missing]
    hanging = stroke([(across + pivot[0], down + pivot[1]) for across, down in turned]) - 4
    beads = np.minimum(stroke(missing[:1] * 2), stroke([pivot, pivot])) - dice.roll(8, 24)
    torn = np.minimum(hanging, beads)
    return np.minimum(wire, torn), np.minimum(stroke(missing) - 16, torn - 10)
