"""What is known beforehand about each dataset that zsad brings itself: one declarative entry per dataset."""

from collections.abc import Mapping
from dataclasses import dataclass

from zsad.errors import UserError


@dataclass(frozen=True)
class Entry:
    """One dataset: what it is called, what its categories are, and how many pictures each must have.

    categories: folder → name used in text prompts. expected: folder → (train, normal test, anomalous test).
    size: (width, height) at which pixel metrics are computed unless `metrics.resolution` says otherwise.
    """

    title: str
    domain: str
    licence: str
    size: tuple[int, int]
    categories: Mapping[str, str]
    expected: Mapping[str, tuple[int, int, int]]


def _demo(title: str, domain: str, categories: Mapping[str, str], expected: tuple[int, int, int]) -> Entry:
    return Entry(title, domain, "MIT", (128, 128), categories, dict.fromkeys(categories, expected))


ENTRIES: Mapping[str, Entry] = {
    "demo_source": _demo(
        "Demo source (drawn)",
        "demo_mixed",
        {"linen": "linen", "terrazzo": "terrazzo", "gasket": "gasket", "tablet": "tablet"},
        (4, 22, 32),
    ),
    "demo_texture": _demo(
        "Demo textures (drawn)",
        "demo_texture",
        {"corduroy": "corduroy", "cork": "cork", "honeycomb": "honeycomb"},
        (4, 8, 13),
    ),
    "demo_object": _demo(
        "Demo objects (drawn)",
        "demo_object",
        {"gear": "gear", "key": "key", "bulb": "bulb"},
        (4, 8, 13),
    ),
    "demo_medical": _demo(
        "Demo medical-like pictures (drawn)",
        "demo_medical",
        {"retina": "retina", "histology": "histology", "bone_xray": "bone x-ray"},
        (4, 8, 13),
    ),
}


def demo_entry(key: str) -> Entry:
    """The entry of a demo set; UserError with the list when there is none of that name."""
    if key not in ENTRIES:
        raise UserError(f"params.yaml: datasets.{key}.kind: no demo set {key!r}; there are: {', '.join(ENTRIES)}")
    return ENTRIES[key]
