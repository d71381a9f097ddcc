"""Which normal pictures a few-shot configuration is adapted to: drawn from the target's `train` split by seed.

And which ones of a source stand beside the pictures that a comparing learner trains on. The draw depends on the seed and the category's file names alone. So every method gets the same pictures, and those of
fewer shots are the first of those of more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zsad.common.errors import UserError
from zsad.common.seeding import derive_seed
from zsad.datasets.manifest import Manifest, Row

Drawn = Mapping[str, list[Row]]  # by category


@dataclass(frozen=True)
class Supports:
    """Support of every category that has enough pictures, for each seed; why the other categories have none."""

    by_seed: Mapping[int, Drawn]
    left_out: Mapping[str, str]

    @property
    def paths(self) -> dict[str, dict[str, list[str]]]:
        """Paths below the set's root, by seed and category."""
        return {str(s): {c: [row.path for row in rows] for c, rows in own.items()} for s, own in self.by_seed.items()}


def draw_references(manifest: Manifest, count: int) -> Drawn:
    """At most `count` normal training pictures of every category of a source, for learners that compare with them."""
    tested = {row.pixel_hash for row in manifest.test}
    categories = sorted({row.category for row in manifest.trainable})
    drawn = {category: _draw(_pool(manifest, category, tested), category, count, 0) for category in categories}
    if missing := [category for category, rows in drawn.items() if not rows]:
        raise UserError(
            f"{manifest.root}: {', '.join(missing)}: the learner compares with normal training pictures of each category,"
            f" and there are none; add some to the split `train`, or name another set under `sources`"
        )
    return drawn


def draw_supports(manifest: Manifest, shots: int, seeds: list[int]) -> Supports:
    """The supports of all categories that are scored."""
    tested = {row.pixel_hash for row in manifest.test}
    pools: dict[str, list[Row]] = {}
    left_out = {}
    for category in sorted({row.category for row in manifest.test}):
        pool = _pool(manifest, category, tested)
        if len(pool) < shots:
            left_out[category] = _shortage(manifest, category, len(pool), shots)
        else:
            pools[category] = pool
    by_seed = {
        seed: {category: _draw(pool, category, shots, seed) for category, pool in pools.items()} for seed in seeds
    }
    return Supports(by_seed if pools else {}, left_out)


def _pool(manifest: Manifest, category: str, tested: set[str]) -> list[Row]:
    """Normal training pictures by sorted path, each once, and none that the test split has as well."""
    rows = [row for row in manifest.train if row.category == category and not row.label]
    unseen = {row.pixel_hash: row for row in sorted(rows, key=lambda row: row.path, reverse=True)}
    return sorted((row for digest, row in unseen.items() if digest not in tested), key=lambda row: row.path)


def _draw(pool: list[Row], category: str, shots: int, seed: int) -> list[Row]:
    order = np.random.default_rng(derive_seed("support", category, seed)).permutation(len(pool))
    return [pool[i] for i in order[:shots]]


def _shortage(manifest: Manifest, category: str, found: int, shots: int) -> str:
    given = sum(row.category == category and not row.label for row in manifest.train)
    if not given:
        return "no normal training pictures"
    repeated = f" ({given - found} more repeat others or stand in the test split)" if given > found else ""
    return f"{found} normal training picture{'s' * (found != 1)}{repeated}, {shots} needed"
