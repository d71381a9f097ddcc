"""How many pictures a dataset has, as far as it is known: from its manifest, else from what is published or drawn."""

from collections.abc import Mapping
from dataclasses import dataclass

from zsad.common.errors import UserError
from zsad.config.params import Params
from zsad.datasets.catalogue import entry_of
from zsad.datasets.demo import demo_set
from zsad.datasets.manifest import FACTS_FILE, MANIFESTS, load_manifest


@dataclass(frozen=True)
class Size:
    """test: pictures that are scored; trainable: those that learners train on, when the set is their source.

    names: class names that prompts are told, each once; categories: how many there are.
    """

    test: int
    trainable: int
    names: tuple[str, ...]
    categories: int


def size_of(params: Params, key: str) -> Size:
    """The size of `datasets.<key>`; UserError where nobody knows it yet."""
    block = params.dataset(key)
    if (MANIFESTS / key / FACTS_FILE).is_file():
        manifest = load_manifest(key)
        names = dict.fromkeys(row.prompt_name for row in manifest.test)
        return Size(len(manifest.test), len(manifest.trainable), tuple(names), len(manifest.counts))
    if block.kind == "demo":
        drawn = demo_set(key)
        _, normal, anomalous = drawn.expected
        return _published((normal + anomalous) * len(drawn.categories), drawn.categories)
    entry = entry_of(key, block)[1] if block.kind == "official" else None
    counts = entry and (entry.total or entry.sums)
    if entry is None or not counts:
        raise UserError(f"params.yaml: datasets.{key}: its pictures are not counted yet; run `zsad repro index@{key}`")
    return _published(sum(counts), entry.categories)


def _published(pictures: int, categories: Mapping[str, str]) -> Size:
    return Size(pictures, pictures, tuple(dict.fromkeys(categories.values())), len(categories))
