"""A scene of the world: what it shows, without and with a defect, and where the defect is."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from zsad_synthetic.pretraining.world import (
    defects_form,
    defects_marks,
    imaging,
    materials,
    objects,
    patterns,
    scans,
    slices,
)
from zsad_synthetic.pretraining.world.canvas import Canvas
from zsad_synthetic.pretraining.world.fields import Array, Rng, paint, shade
from zsad_synthetic.pretraining.world.shapes import Solid

MATERIALS = materials.RENDERERS | patterns.RENDERERS
OBJECTS = objects.RENDERERS
SCANS = scans.RENDERERS | slices.RENDERERS
DEFECTS = defects_marks.RENDERERS | defects_form.RENDERERS | defects_form.GROWTHS
KINDS = [*MATERIALS, *OBJECTS, *SCANS]
FAMILIES = list(DEFECTS)
HELD_OUT = ["foam", "marble", "basket weave", "roof shingle", "spring", "battery", "bracket", "lung ct"]
"""Kinds kept for the evaluation: never the subject of a pretraining picture, though surfaces occur as backdrops."""

SIZE = 176
"""Side of a rendered picture in pixels; views are cut out of it."""

_OUTLINE_FAMILIES = ["broken off part", "warped outline"]
_SURFACE_FAMILIES = [f for f in FAMILIES if f not in defects_form.GROWTHS and f not in _OUTLINE_FAMILIES]
_SOLID_FAMILIES = [f for f in FAMILIES if f not in defects_form.GROWTHS]
_SCAN_FAMILIES = ["discoloration", "spots", "distortion", "foreign patch", "stain", "hole"]
_GROWTH_OF = {"skin": "lesion", "colon": "polyp"}
_SMALLEST, _FAINTEST, _TRIES, _PATIENCE = 14, 0.06, 6, 3
_SEEN_SIDE, _SEEN_STEP, _SEEN_PIXELS, _SEEN_SHARE, _HARD = 112, 0.11, 36, 0.015, 0.2
"""A clear defect changes by a step, at the model's side and slightly blurred, so many pixels and such a share of its
region; a share of the scenes is hard."""


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
        clear = kind not in MATERIALS and rng.random() > _HARD
        for attempt in range(_TRIES):
            if attempt % _PATIENCE == 0:
                family = _pick_family(rng, kind)
            picture, mask = _spoil(rng, canvas._replace(region=_piece(rng, canvas.region)), family)
            change = _change(canvas.picture, picture)
            if _visible(change, mask) and (not clear or _clear(change * mask, canvas.region)):
                light = int(rng.integers(2**31))
                return Scene(_finish(light, canvas.picture), _finish(light, picture), mask, kind, family)


def _pick(rng: Rng, kinds: Sequence[str]) -> str:
    """A kind, the groups being drawn first: surfaces 38 %, objects 45 %, scans 17 %."""
    groups = [[k for k in kinds if k in group] for group in (MATERIALS, OBJECTS, SCANS)]
    weights = np.array([0.38, 0.45, 0.17]) * [bool(g) for g in groups]
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
        if rng.random() < 0.3:
            picture = imaging.decorate(rng, picture, region)
        ground = np.broadcast_to(np.float32(rng.choice([0.03, 0.1, 0.9])), picture.shape)
    elif kind in SCANS:
        picture, region = SCANS[kind](rng, size)
        ground = shade(picture, np.ones_like(region), rng.uniform(-0.8, -0.4))
    else:
        solid = _arranged(rng, _adorned(rng, OBJECTS[kind](rng, size)))
        ground = _behind(rng, size, solid)
        picture, region = paint(ground, solid.picture, solid.coverage), solid.coverage
    return Canvas(picture, region, ground, foreign)


def _surface(rng: Rng, size: int) -> Array:
    return MATERIALS[str(rng.choice(list(MATERIALS)))](rng, size)


def _behind(rng: Rng, size: int, solid: Solid) -> Array:
    ground = imaging.backdrop(rng, size, partial(_surface, rng, size))
    if rng.random() < 0.1:
        ground = shade(ground, imaging.clutter(rng, size), rng.uniform(-0.6, 0.4))
    return imaging.shadow(rng, ground, solid.coverage)


def _adorned(rng: Rng, solid: Solid) -> Solid:
    """The object with marks that are no defects; in a group of objects, every copy has them."""
    picture, coverage = solid
    if rng.random() < 0.3:
        picture = imaging.decorate(rng, picture, coverage)
    if rng.random() < 0.4:
        picture = imaging.adorn(rng, picture, coverage)
    return Solid(picture, coverage)


def _arranged(rng: Rng, solid: Solid) -> Solid:
    """Mostly the object alone, else in rows or scattered."""
    layout = rng.random()
    if layout > 0.22:
        return solid
    return _repeat(rng, solid) if layout < 0.08 else _scatter(rng, solid)


def _repeat(rng: Rng, solid: Solid) -> Solid:
    """The same object several times in rows."""
    size, count = len(solid.coverage), int(rng.integers(2, 4))
    side = -(-size // count)
    picture, coverage = (cv2.resize(a, (side, side), interpolation=cv2.INTER_AREA) for a in solid)
    tiled = np.tile(picture, (count, count, 1)), np.tile(coverage, (count, count))
    return Solid(*(np.ascontiguousarray(a[:size, :size]) for a in tiled))


def _scatter(rng: Rng, solid: Solid) -> Solid:
    """Turned copies of the same object on a loose lattice, some places left empty."""
    size, count = len(solid.coverage), int(rng.integers(2, 5))
    pitch, picture, coverage = size / count, np.zeros_like(solid.picture), np.zeros_like(solid.coverage)
    loose, turns = rng.uniform(0, 0.12), rng.random() < 0.6
    for row, column in np.argwhere(rng.random((count, count)) < rng.uniform(0.6, 1.3)):
        angle = rng.uniform(0, 360) if turns else rng.normal(0, 3)
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), angle, rng.uniform(0.8, 1.05) / count)
        matrix[:, 2] += (np.array([column, row]) + 0.5 + rng.normal(0, loose, 2)) * pitch - size / 2
        copy, alpha = (cv2.warpAffine(a, matrix, (size, size), flags=cv2.INTER_AREA) for a in solid)
        picture, coverage = paint(picture, shade(copy, alpha, rng.normal(0, 0.05)), alpha), np.maximum(coverage, alpha)
    return Solid(picture, coverage) if coverage.max() > 0.5 else solid


def _piece(rng: Rng, region: Array) -> Array:
    """One connected piece of the region, never a small one: a defect belongs to one thing."""
    count, label, stats, _ = cv2.connectedComponentsWithStats((region > 0.5).astype(np.uint8))
    if count <= 2:
        return region
    areas = stats[1:, cv2.CC_STAT_AREA]
    chosen = 1 + int(rng.choice(np.flatnonzero(areas >= 0.4 * areas.max())))
    return region * cv2.dilate((label == chosen).astype(np.uint8), np.ones((5, 5), np.uint8))


def _spoil(rng: Rng, canvas: Canvas, family: str) -> tuple[Array, NDArray[np.bool_]]:
    """The picture with one to three defects of a family, and their mask."""
    mask, picture = np.zeros(canvas.region.shape, bool), canvas.picture
    if family == "warped outline":
        defect = DEFECTS[family](rng, canvas)
        return np.clip(defect.picture, 0, 1), defect.extent > 0.35
    for _ in range(1 if family == "broken off part" else 1 + min(2, int(rng.poisson(0.35)))):
        defect = DEFECTS[family](rng, canvas._replace(picture=picture))
        picture = paint(picture, np.clip(defect.picture, 0, 1), canvas.region)
        mask |= (defect.extent > 0.35) & (canvas.region > 0.3)
    return picture, mask


def _change(before: Array, after: Array) -> Array:
    """[S, S] largest change of a channel."""
    red, green, blue = cv2.split(cv2.absdiff(after.astype(np.float32), before.astype(np.float32)))
    return cv2.max(cv2.max(red, green), blue)


def _visible(change: Array, mask: NDArray[np.bool_]) -> bool:
    if mask.sum() < _SMALLEST or mask.mean() > 0.6:
        return False
    return float(np.square(change[mask]).mean()) >= _FAINTEST**2


def _clear(change: Array, region: Array) -> bool:
    """An attentive person sees the change at the side that the model sees."""
    blurred = cv2.GaussianBlur(change, (0, 0), 0.8 * len(change) / _SEEN_SIDE)
    least = max(_SEEN_PIXELS, _SEEN_SHARE * region.mean() * _SEEN_SIDE**2)
    return bool((blurred > _SEEN_STEP).mean() * _SEEN_SIDE**2 >= least)


def _finish(light: int, picture: Array) -> NDArray[np.uint8]:
    lit = imaging.illuminate(np.random.default_rng(light), picture)
    return np.round(np.clip(lit, 0, 1) * 255).astype(np.uint8)
