"""The demo benchmark holds nothing that the embedded CLIP was pretrained on, and nothing that a source shows."""

from zsad_synthetic import demo
from zsad_synthetic.pretraining import world


def plain(names: object) -> set[str]:
    return {name.replace("_", " ").lower() for name in names}  # type: ignore[attr-defined]


def test_classes_and_defects_of_the_demo_are_no_part_of_the_pretraining() -> None:
    shown = plain([*world.MATERIALS, *world.OBJECTS, *world.SCANS])
    assert not plain(name for classes in demo.CLASSES.values() for name in classes) & shown
    assert not plain(name for defects in demo.DEFECTS.values() for name in defects) & plain(world.DEFECTS)
