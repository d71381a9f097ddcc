"""Normal training pictures of a set, drawn by seed and file name: for supports of a target, references of a source."""

import numpy as np

from zsad.common.seeding import derive_seed
from zsad.datasets.manifest import Manifest, Row


def pool(manifest: Manifest, category: str) -> list[Row]:
    """Those of a category by sorted path, each once, and none that the test split has as well."""
    tested = {row.pixel_hash for row in manifest.test}
    rows = [row for row in manifest.train if row.category == category and not row.label]
    unseen = {row.pixel_hash: row for row in sorted(rows, key=lambda row: row.path, reverse=True)}
    return sorted((row for digest, row in unseen.items() if digest not in tested), key=lambda row: row.path)


def draw(pictures: list[Row], category: str, count: int, seed: int) -> list[Row]:
    """At most `count` of them: the first ones of an order that the seed and the category's name decide."""
    order = np.random.default_rng(derive_seed("support", category, seed)).permutation(len(pictures))
    return [pictures[i] for i in order[:count]]
