"""A procedural world of surfaces, objects and scans, with and without defects, and captions for them."""

from zsad_synthetic.pretraining.world.captions import Caption, defect_list, describe, state_pair
from zsad_synthetic.pretraining.world.scene import (
    DEFECTS,
    FAMILIES,
    HELD_OUT,
    KINDS,
    MATERIALS,
    OBJECTS,
    SCANS,
    Scene,
    render,
)

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
    "defect_list",
    "describe",
    "render",
    "state_pair",
]
