"""Which categories and defect families each demo set has, and what draws them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zsad_synthetic.demo import medical, objects, textures
from zsad_synthetic.demo import source_set as source
from zsad_synthetic.demo.integer_math import Dice
from zsad_synthetic.demo.scenes import Drawing


@dataclass(frozen=True)
class Category:
    """`draw(dice, defect)` gives a canvas and the coverage of its defect ("" = normal); `grey`: without colour."""

    draw: Callable[[Dice, str], Drawing]
    defects: tuple[str, ...]
    grey: bool = False


SETS: Mapping[str, Mapping[str, Category]] = {
    "demo_source": {
        "linen": Category(source.linen, ("snag", "slub", "missing_pick")),
        "terrazzo": Category(source.terrazzo, ("stain_ring", "pop_out")),
        "gasket": Category(source.gasket, ("chip_out", "moulding_flash", "blocked_hole")),
        "tablet": Category(source.tablet, ("crumbled_edge", "foreign_fleck", "capping_split")),
    },
    "demo_texture": {
        "corduroy": Category(textures.corduroy, ("pulled_rib", "bleach_patch", "moth_bite")),
        "cork": Category(textures.cork, ("burn_spot", "knife_gouge")),
        "honeycomb": Category(textures.honeycomb, ("crushed_cell", "resin_fill")),
    },
    "demo_object": {
        "gear": Category(objects.gear, ("missing_tooth", "dent_shading")),
        "key": Category(objects.key, ("bent_shaft", "verdigris")),
        "bulb": Category(objects.bulb, ("broken_filament", "soot_cap")),
    },
    "demo_medical": {
        "retina": Category(medical.retina, ("haemorrhage_blot", "exudate_cluster")),
        "histology": Category(medical.histology, ("mucin_lake", "nuclear_crowding")),
        "bone_xray": Category(medical.bone_xray, ("fracture_line", "bone_cyst"), grey=True),
    },
}

CLASSES = {key: frozenset(categories) for key, categories in SETS.items()}
DEFECTS = {
    key: frozenset(name for category in categories.values() for name in category.defects)
    for key, categories in SETS.items()
}
