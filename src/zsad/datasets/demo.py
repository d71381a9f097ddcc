"""The demo sets: what is known of them beforehand (demo.yaml), and the way to the code that draws them."""

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import Field, TypeAdapter

from zsad.common.errors import UserError
from zsad.config.schema import Block

FACTS = Path(__file__).with_suffix(".yaml")
DRAWING = "zsad_synthetic.demo"  # not installed with zsad: it stands beside it in the repository


class DemoSet(Block):
    """One demo set. categories: folder → name in prompts; expected: [train, normal test, anomalous test] of each.

    size: (width, height) in pixels of its pictures, at which pixel metrics are computed.
    """

    title: str
    domain: str
    categories: Mapping[str, str]
    expected: list[int]
    size: list[int] = Field(default=[128, 128])
    licence: str = "MIT"


@cache
def demo_sets() -> Mapping[str, DemoSet]:
    """All demo sets by key."""
    return TypeAdapter(dict[str, DemoSet]).validate_python(yaml.safe_load(FACTS.read_text(encoding="utf-8")))


def demo_set(key: str) -> DemoSet:
    """The demo set of that key; UserError with the list when there is none."""
    sets = demo_sets()
    if key not in sets:
        raise UserError(f"params.yaml: datasets.{key}.kind: no demo set {key!r}; there are: {', '.join(sets)}")
    return sets[key]


def draw(key: str, directory: Path) -> None:
    """Draw a demo set into `directory`, in the layout of MVTec AD."""
    demo_set(key)
    try:
        drawing = importlib.import_module(DRAWING)
    except ModuleNotFoundError as error:
        if error.name not in (DRAWING, DRAWING.partition(".")[0]):
            raise
        raise UserError(
            f"params.yaml: datasets.{key}.kind: demo sets are drawn by {DRAWING}, which only the repository has;"
            " clone it and run `make repro` there"
        ) from None
    drawing.generate(key, directory)
