"""Demo target of medical-like pictures: retina, tissue section and bone x-ray. Drawn: no patient was involved."""

import numpy as np

from zsad_synthetic.demo.canvas import (
    FULL,
    QUARTER,
    SIDE,
    blob,
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
    shade,
    smooth_noise,
    stroke,
    wander,
)
from zsad_synthetic.demo.cellular import scattered
from zsad_synthetic.demo.integer_math import TURN, Dice, length
from zsad_synthetic.demo.scenes import Drawing

FUNDI = [(176, 84, 44), (190, 100, 52), (160, 66, 38), (148, 78, 48), (198, 112, 70)]
STROMA = [(226, 168, 196), (214, 150, 188), (232, 184, 204), (218, 160, 180)]


def retina(dice: Dice, defect: str) -> Drawing:
    """An eye fundus. Normal pictures differ in tone, side, vessels, optic disc, macula, exposure."""
    side = dice.sign()
    eye = disc(*grid(), dice.roll(440, 500))
    fundus = shade(flat(dice.pick(FUNDI)), fractal_noise(dice, 70, 4) * dice.roll(14, 40) // 256)
    nerve = (128 + side * dice.roll(50, 66), dice.roll(112, 144))
    macula = (128 - side * dice.roll(8, 24), dice.roll(118, 142))
    fundus = shade(fundus, cover(disc(*grid(macula), 30), dice.roll(70, 120)) * -dice.roll(40, 80) // FULL)
    vessels, width = _vessels(dice, nerve, side)
    fundus = paint(fundus, (108, 26, 20), cover(vessels - width) * dice.roll(50, 85) // 100)
    cup = ellipse(*grid(nerve), dice.roll(56, 76), dice.roll(62, 84))
    fundus = paint(fundus, (244, 206, 140), cover(cup, 10) * dice.roll(60, 90) // 100)
    fundus = paint(fundus, (252, 236, 196), cover(cup + dice.roll(24, 36), 14) * dice.roll(30, 80) // 100)
    fundus = paint(fundus, (120, 30, 24), cover(vessels - width) * cover(cup) // FULL * 60 // 100)
    coverage = nowhere()
    if defect == "haemorrhage_blot":
        blots = [blob(dice, _on_fundus(dice), dice.roll(36, 96)) for _ in range(dice.roll(2, 5))]
        outline = np.minimum.reduce(blots)
        coverage = np.minimum(cover(outline), cover(eye + 8))
        fundus = paint(fundus, (88, 14, 14), cover(outline, 8) * dice.roll(60, 100) // 100)
    elif defect == "exudate_cluster":
        coverage, outline = _exudates(dice, _on_fundus(dice))
        fundus = paint(fundus, (250, 224, 130), cover(outline) * dice.roll(70, 100) // 100)
        coverage = np.minimum(coverage, cover(eye + 8))
    fundus = shade(fundus, -np.clip(eye + 160, 0, 160) * dice.roll(20, 110) // 160 + grain(dice, 14))
    return paint(flat((4, 4, 5)), light(dice, fundus, 50), cover(eye, 6)), coverage


def histology(dice: Dice, defect: str) -> Drawing:
    """A stained tissue section. Normal pictures differ in stain, fibres, density of nuclei, clefts between bundles."""
    turn = dice.roll(0, TURN - 1)
    x, y = grid(turn=turn)
    flow = smooth_noise(dice, 60, 90)
    fibres = smooth_noise(dice, 4, 256, 8)[((y + flow) // 4) & 255, ((x + flow) // 6) & 255]
    tissue = shade(flat(dice.pick(STROMA)), fibres * dice.roll(10, 34) // 256 + fractal_noise(dice, 50, 3) * 20 // 256)
    cleft = np.abs(fractal_noise(dice, dice.roll(50, 90), 3)) - dice.roll(-6, 10)
    tissue = paint(tissue, (244, 238, 242), cover(cleft, 8))
    centre = (dice.roll(60, 196), dice.roll(60, 196))
    region = blob(dice, centre, dice.roll(105, 200))
    pitch, dye = dice.roll(46, 74), (dice.roll(86, 112), dice.roll(56, 76), dice.roll(136, 160))
    nuclei = _nuclei(dice, x, y + flow // 2, pitch, dice.roll(40, 75))
    coverage = cover(region) if defect else nowhere()
    if defect == "mucin_lake":
        nuclei = np.where(region < 4, 64, nuclei)
        pool = shade(flat(dice.pick([(206, 196, 226), (222, 216, 232), (196, 206, 226)])), smooth_noise(dice, 26, 16))
        tissue = paint(tissue, pool, cover(region, 8) * dice.roll(65, 100) // 100)
    elif defect == "nuclear_crowding":
        crowd = _nuclei(dice, x, y, pitch * dice.roll(55, 75) // 100, 100) - dice.roll(2, 7)
        nuclei = np.where(region < 0, np.minimum(nuclei, crowd), nuclei)
        tissue = paint(tissue, (182, 120, 172), cover(region, 20) * dice.roll(35, 80) // 100)
    stained = shade(flat(dye), smooth_noise(dice, 5, 60))
    tissue = paint(tissue, stained, cover(nuclei) * dice.roll(70, 95) // 100)
    return light(dice, shade(tissue, grain(dice, 14)), 20), coverage


def bone_xray(dice: Dice, defect: str) -> Drawing:
    """An x-ray of a long bone. Normal pictures differ in pose, width, cortex, growth plate, marker, exposure."""
    centre, turn = (dice.roll(112, 144), dice.roll(112, 144)), dice.roll(-260, 260) + 1024 * dice.roll(0, 1)
    x, y = grid(centre, turn)
    bow = x * x // dice.roll(9000, 40000) * dice.sign()
    flare = np.maximum(np.abs(x + dice.roll(-100, 100)) - dice.roll(180, 260), 0) * dice.roll(16, 34) // 100
    half = dice.roll(72, 130)
    wave = smooth_noise(dice, 40, 5)
    gap = offset = nowhere()
    if defect == "fracture_line":
        gap, offset = _fracture(dice, x, y)
    bone = np.abs(y + offset + bow) - half - flare + wave
    scan = flat((22, 24, 26))
    flesh = np.abs(y + bow) - dice.roll(230, 330) + smooth_noise(dice, 70, 26)
    scan = paint(scan, (88, 90, 92), cover(flesh, 50) * dice.roll(50, 90) // 100)
    coverage = nowhere()
    scan = paint(scan, (146, 148, 150), cover(bone, 5))
    cortex = np.clip(-bone, 0, 40)
    scan = shade(scan, (40 - np.abs(cortex - 16) * 2) * dice.roll(50, 120) // 100 * cover(bone) // FULL)
    weave = smooth_noise(dice, 4, 256, 5)[(y // 4) & 255, (x // 4) & 255]
    scan = shade(scan, weave * cover(bone + 24, 8) // FULL * dice.roll(16, 40) // 256)
    plate = np.abs(x - dice.sign() * dice.roll(270, 330) + smooth_noise(dice, 20, 12)) - dice.roll(3, 8)
    scan = shade(scan, np.minimum(cover(plate, 6), cover(bone)) * -dice.roll(0, 70) // FULL)
    if defect == "fracture_line":
        coverage = np.minimum(cover(gap - 6), cover(bone))
        scan = shade(scan, np.minimum(cover(gap, 5), cover(bone)) * -dice.roll(100, 190) // FULL)
    elif defect == "bone_cyst":
        across, down = place(centre, turn, dice.roll(-180, 180), dice.roll(-20, 20))
        cyst = blob(dice, (across // QUARTER, down // QUARTER), half * dice.roll(70, 125) // 100)
        coverage = np.minimum(cover(cyst), cover(bone))
        scan = shade(scan, np.minimum(cover(cyst, 10), cover(bone)) * -dice.roll(70, 150) // FULL)
        rim = np.minimum(cover(np.abs(cyst) - 4, 4), cover(bone))
        scan = shade(scan, rim * dice.roll(20, 80) // FULL)
    scan = _marker(dice, scan)
    grey = light(dice, shade(scan, grain(dice, 24)), 50).sum(axis=2) // 3
    return np.repeat(grey[..., None], 3, axis=2), coverage


def _vessels(dice: Dice, nerve: tuple[int, int], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest vessel, and half the width it has there: thinner away from the optic nerve."""
    start = (nerve[0] * QUARTER, nerve[1] * QUARTER)
    trees = []
    for base in (-700, -300, 300, 700):
        heading = (TURN // 2 if side > 0 else 0) + side * base + dice.roll(-90, 90)
        trunk = wander(dice, start, heading, 14, 44, 110)
        trees.append(stroke(trunk))
        for joint in (4, 8):
            trees.append(
                stroke(wander(dice, trunk[joint], heading + dice.sign() * dice.roll(250, 500), 9, 36, 150)) + 4
            )
    away = length(*grid(nerve))
    return np.minimum.reduce(trees), np.clip(dice.roll(11, 16) - away // 70, 3, 16)


def _on_fundus(dice: Dice) -> tuple[int, int]:
    across, down = place((SIDE // 2, SIDE // 2), dice.roll(0, TURN - 1), dice.roll(60, 330), 0)
    return across // QUARTER, down // QUARTER


def _exudates(dice: Dice, centre: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Many small bright drops around `centre`: coverage of the whole cluster, and distance to the drops."""
    reach = dice.roll(16, 40)
    drops = []
    for _ in range(dice.roll(14, 36)):
        at = (centre[0] + dice.roll(-reach, reach), centre[1] + dice.roll(-reach, reach))
        drops.append(disc(*grid(at), dice.roll(9, 24)))
    outline = np.minimum.reduce(drops) + smooth_noise(dice, 6, 4)
    return cover(outline - 8), outline


def _nuclei(dice: Dice, x: np.ndarray, y: np.ndarray, pitch: int, percent: int) -> np.ndarray:
    """Signed distance to nuclei, one in `percent` of 100 cells, each of its own size."""
    cells = scattered(dice, x, y, pitch)
    there = cells.per_cell(dice, 0, 99) < percent
    size = cells.per_cell(dice, 9, 17) * pitch // 60
    return np.where(there, cells.nearest - size + smooth_noise(dice, 6, 3), 64)


def _fracture(dice: Dice, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(signed distance to the gaps of one to three neighbouring breaks, sideways displacement of what lies beyond)."""
    at, gaps, offset = dice.roll(-180, 120), [], nowhere()
    for _ in range(dice.roll(1, 3)):
        line = x - at + y * dice.roll(-80, 80) // 100 + smooth_noise(dice, 12, 26)
        gaps.append(np.abs(line) - dice.roll(9, 30))
        offset = offset + np.where(line > 0, dice.roll(-36, 36), 0)
        at += dice.roll(60, 130)
    return np.minimum.reduce(gaps), offset


def _marker(dice: Dice, scan: np.ndarray) -> np.ndarray:
    """In one picture of three: the letter that tells left from right, in a corner."""
    if dice.roll(0, 2):
        return scan
    x, y = grid((dice.roll(24, 40), dice.roll(24, 40)))
    letter = merge(np.maximum(np.abs(x + 16) - 6, np.abs(y) - 36), np.maximum(np.abs(x) - 22, np.abs(y - 30) - 6), 4)
    return paint(scan, (226, 226, 226), cover(letter))
