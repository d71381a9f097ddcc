"""A scene of the world: what it shows, without and with a defect, and where the defect is."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from zsad.clip.tiny.world import defects_form, defects_marks, imaging, materials, objects, patterns, scans
from zsad.clip.tiny.world.canvas import Canvas
from zsad.clip.tiny.world.fields import Array, Rng, paint, shade
from zsad.clip.tiny.world.shapes import Solid

MATERIALS = materials.RENDERERS | patterns.RENDERERS
OBJECTS = objects.RENDERERS
SCANS = scans.RENDERERS
DEFECTS = defects_marks.RENDERERS | defects_form.RENDERERS | defects_form.GROWTHS
KINDS = [*MATERIALS, *OBJECTS, *SCANS]
FAMILIES = list(DEFECTS)
HELD_OUT = ["foam", "marble", "basket weave", "roof shingle", "spring", "battery", "bracket", "lung ct"]
"""Kinds kept for the evaluation: never the subject of a pretraining picture, though surfaces occur as backdrops."""

SIZE = 176
"""Side of a rendered picture in pixels; views are cut out of it."""

_SURFACE_FAMILIES = [f for f in FAMILIES if f not in defects_form.GROWTHS and f != "broken off part"]
_SOLID_FAMILIES = [f for f in FAMILIES if f not in defects_form.GROWTHS]
_SCAN_FAMILIES = ["discoloration", "spots", "distortion", "foreign patch", "stain", "hole"]
_GROWTH_OF = {"skin": "lesion", "colon": "polyp"}
_SMALLEST, _FAINTEST, _TRIES = 14, 0.05, 5


class Scene(NamedTuple):
    """The same view twice, without and with a defect: nothing but the defect tells the two apart."""

    normal: NDArray[np.uint8]
    """[S, S, 3] RGB."""
    anomalous: NDArray[np.uint8]
    """[S, S, 3] RGB."""
    mask: NDArray[np.bool_]
    """[S, S], true on the defect of the anomalous picture; never empty."""
    kind: str
    """Key of MATERIALS, OBJECTS or SCANS."""
    family: str
    """Key of DEFECTS."""


def render(rng: Rng, kinds: Sequence[str] = KINDS, size: int = SIZE) -> Scene:
    """Draw a scene of one of `kinds`."""
    while True:
        kind = _pick(rng, kinds)
        canvas = _normal_canvas(rng, kind, size)
        for _ in range(_TRIES):
            family = _pick_family(rng, kind)
            picture, mask = _spoil(rng, canvas, family)
            if _visible(canvas.picture, picture, mask):
                light = int(rng.integers(2**31))
                return Scene(_finish(light, canvas.picture), _finish(light, picture), mask, kind, family)


def _pick(rng: Rng, kinds: Sequence[str]) -> str:
    """A kind, the groups being drawn first: surfaces 45 %, objects 37 %, scans 18 %."""
    groups = [[k for k in kinds if k in group] for group in (MATERIALS, OBJECTS, SCANS)]
    weights = np.array([0.45, 0.37, 0.18]) * [bool(g) for g in groups]
    return str(rng.choice(groups[int(rng.choice(3, p=weights / weights.sum()))]))


def _pick_family(rng: Rng, kind: str) -> str:
    if kind in SCANS:
        grows = rng.random() < 0.7
        return _GROWTH_OF.get(kind, "tumor") if grows else str(rng.choice(_SCAN_FAMILIES))
    return str(rng.choice(_SOLID_FAMILIES if kind in OBJECTS else _SURFACE_FAMILIES))


def _normal_canvas(rng: Rng, kind: str, size: int) -> Canvas:
    foreign = _surface(rng, size)
    if kind in MATERIALS:
        picture, region = MATERIALS[kind](rng, size), np.ones((size, size), np.float32)
        ground = np.broadcast_to(np.float32(rng.choice([0.03, 0.1, 0.9])), picture.shape)
    elif kind in SCANS:
        picture, region = SCANS[kind](rng, size)
        ground = shade(picture, np.ones_like(region), rng.uniform(-0.8, -0.4))
    else:
        solid = OBJECTS[kind](rng, size)
        if rng.random() < 0.12:
            solid = _repeat(rng, solid)
        ground = _behind(rng, size, solid)
        picture, region = paint(ground, solid.picture, solid.coverage), solid.coverage
    if kind not in SCANS and rng.random() < 0.3:
        picture = imaging.decorate(rng, picture, region)
    return Canvas(picture, region, ground, foreign)


def _surface(rng: Rng, size: int) -> Array:
    return MATERIALS[str(rng.choice(list(MATERIALS)))](rng, size)


def _behind(rng: Rng, size: int, solid: Solid) -> Array:
    ground = imaging.backdrop(rng, size, _surface(rng, size))
    if rng.random() < 0.1:
        ground = shade(ground, imaging.clutter(rng, size), rng.uniform(-0.6, 0.4))
    return imaging.shadow(rng, ground, solid.coverage)


def _repeat(rng: Rng, solid: Solid) -> Solid:
    """The same object several times in rows."""
    size, count = len(solid.coverage), int(rng.integers(2, 4))
    side = -(-size // count)
    picture, coverage = (cv2.resize(a, (side, side), interpolation=cv2.INTER_AREA) for a in solid)
    tiled = np.tile(picture, (count, count, 1)), np.tile(coverage, (count, count))
    return Solid(*(np.ascontiguousarray(a[:size, :size]) for a in tiled))


def _spoil(rng: Rng, canvas: Canvas, family: str) -> tuple[Array, NDArray[np.bool_]]:
    """The picture with one to three defects of a family, and their mask."""
    mask, picture = np.zeros(canvas.region.shape, bool), canvas.picture
    for _ in range(1 if family == "broken off part" else 1 + min(2, int(rng.poisson(0.35)))):
        defect = DEFECTS[family](rng, canvas._replace(picture=picture))
        picture = paint(picture, np.clip(defect.picture, 0, 1), canvas.region)
        mask |= (defect.extent > 0.35) & (canvas.region > 0.3)
    return picture, mask


def _visible(before: Array, after: Array, mask: NDArray[np.bool_]) -> bool:
    if mask.sum() < _SMALLEST or mask.mean() > 0.6:
        return False
    return float(np.abs(after - before).max(-1)[mask].mean()) >= _FAINTEST


def _finish(light: int, picture: Array) -> NDArray[np.uint8]:
    lit = imaging.illuminate(np.random.default_rng(light), picture)
    return np.round(np.clip(lit, 0, 1) * 255).astype(np.uint8)
