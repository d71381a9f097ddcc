"""Composed objects: a random outline, made of a random material, with symmetric arrangements of smaller parts.

Every recipe stands for endlessly many objects, so that no defect can be told from a part by knowing the object.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from zsad_synthetic.pretraining.world import details, materials, outlines
from zsad_synthetic.pretraining.world.details import Body
from zsad_synthetic.pretraining.world.fields import Array, Rng, colour, grid, rotated, shade
from zsad_synthetic.pretraining.world.shapes import GOLDEN, METAL, WOODEN, Part, Solid, assemble, tone

Outline = Callable[[Rng, Array, Array, float, float], Array]
Detail = Callable[[Rng, Body], list[Part]]


@dataclass(frozen=True)
class Recipe:
    """What objects of a kind have in common."""

    forms: tuple[Outline, ...]
    parts: tuple[Detail, ...]
    stuff: tuple[str, ...] = ("plain", "metal")
    """"plain", "metal" or keys of materials.RENDERERS."""
    slim: tuple[float, float] = (0.6, 1.0)
    """Shorter over longer side."""
    count: tuple[int, int] = (2, 5)
    """Groups of parts."""


def compose(recipe: Recipe, rng: Rng, size: int) -> Solid:
    """Draw one object of a recipe."""
    x, y = _frame(rng, size)
    w, h = 0.78 * rng.uniform(*recipe.slim), 0.78
    form = recipe.forms[int(rng.integers(len(recipe.forms)))](rng, x, y, w, h).astype(np.float32)
    material = _material(rng, size, str(rng.choice(recipe.stuff)))
    rounded = shade(material, x * np.float32(rng.normal(0, 0.3)) + y * np.float32(rng.normal(0, 0.2)), 1)
    body = Body(x, y, form, material.mean((0, 1)), w, h)
    parts = [Part(form, rounded)]
    for _ in range(int(rng.integers(recipe.count[0], recipe.count[1] + 1))):
        parts += recipe.parts[int(rng.integers(len(recipe.parts)))](rng, body)
    return assemble(rng, size, parts, rng.uniform(0.2, 1.1))


def _frame(rng: Rng, size: int) -> tuple[Array, Array]:
    """Coordinates of an object that fills most of the picture, upright or turned."""
    x, y = grid(size)
    zoom, turn = rng.uniform(0.8, 1.3), rng.normal(0, 0.05) + np.pi / 2 * rng.integers(4)
    angle = rng.uniform(0, 6.3) if rng.random() < 0.5 else turn
    dx, dy = rng.normal(0, 0.05, 2).astype(np.float32)
    return rotated((x - dx) * np.float32(zoom), (y - dy) * np.float32(zoom), angle)


def _material(rng: Rng, size: int, name: str) -> Array:
    """A picture [S, S, 3] of the body's material."""
    if name in materials.RENDERERS:
        return materials.RENDERERS[name](rng, size)
    bases = {"plain": colour(rng, 1.0, 0.08, 0.95), "metal": tone(rng, METAL if rng.random() < 0.7 else GOLDEN)}
    return np.broadcast_to(bases.get(name, tone(rng, WOODEN)), (size, size, 3))


_SOLID, _ROUND = (outlines.slab, outlines.oval, outlines.facets), (outlines.oval, outlines.waves, outlines.facets)
_FLAT = (details.holes, details.slots, details.stripe, details.inlay, details.mark)
_RECIPES = {
    "knob": Recipe(_ROUND, (details.step, details.boss, details.dots, details.stripe), slim=(0.85, 1)),
    "lid": Recipe((*_SOLID, outlines.waves), (details.step, details.step, details.mark, details.ribs, details.dots)),
    "housing": Recipe(
        (outlines.slab, outlines.wedge, outlines.cross),
        (details.holes, details.boss, details.slots, details.step, details.ribs),
        ("plain", "metal", "cast metal"),
        count=(3, 6),
    ),
    "panel": Recipe((outlines.slab,), (*_FLAT, details.dots, details.boss), slim=(0.4, 0.9), count=(3, 6)),
    "tray": Recipe((outlines.slab, outlines.oval), (details.step, details.inlay, details.dots), count=(3, 6)),
    "clamp": Recipe((outlines.profile, outlines.cross), (details.holes, details.stripe, details.pins), count=(1, 3)),
    "valve": Recipe(
        (outlines.cross, outlines.turned, outlines.profile),
        (details.boss, details.stripe, details.step, details.pins),
        ("metal", "plain", "cast metal", "brushed metal"),
    ),
    "handle": Recipe(
        (outlines.turned, outlines.slab, outlines.waves),
        (details.ribs, details.stripe, details.holes, details.step),
        ("plain", "metal", "wood", "rubber"),
        (0.18, 0.4),
        (1, 4),
    ),
    "socket": Recipe(_SOLID, (details.slots, details.holes, details.boss, details.step, details.pins), count=(2, 4)),
    "bead": Recipe((*_ROUND, outlines.pebbly), (details.step, details.stripe, details.dots, details.inlay)),
    "toy": Recipe(
        (outlines.pebbly, outlines.turned, outlines.waves, outlines.cross),
        (details.inlay, details.boss, details.dots, details.stripe, details.pins),
        ("plain", "plain", "wood", "felt"),
        count=(3, 7),
    ),
    "badge": Recipe((*_ROUND, outlines.slab), (details.mark, details.step, details.inlay, details.dots), count=(2, 5)),
    "nozzle": Recipe((outlines.turned,), (details.stripe, details.ribs, details.holes), slim=(0.3, 0.6), count=(2, 4)),
    "snack": Recipe(
        (outlines.pebbly, outlines.oval, outlines.waves, outlines.slab),
        (details.dots, details.ribs, details.inlay),
        ("baked dough", "cast metal", "wood", "soil", "leather", "plain"),
        (0.5, 1),
        (0, 2),
    ),
    "insulator": Recipe(
        (outlines.turned, outlines.oval),
        (details.stripe, details.step, details.ribs),
        ("glazed ceramic", "plain", "plastic", "rubber"),
        (0.35, 0.8),
    ),
}
RENDERERS = {name: partial(compose, recipe) for name, recipe in _RECIPES.items()}
