"""A procedural world of surfaces, objects and scans, with and without defects, and captions for them."""

from zsad.clip.tiny.world.captions import Caption, describe, state_pair
from zsad.clip.tiny.world.scene import DEFECTS, FAMILIES, HELD_OUT, KINDS, MATERIALS, OBJECTS, SCANS, Scene, render

__all__ = [
    "DEFECTS",
    "FAMILIES",
    "HELD_OUT",
    "KINDS",
    "MATERIALS",
    "OBJECTS",
    "SCANS",
    "Caption",
    "Scene",
    "describe",
    "render",
    "state_pair",
]
