"""Which normal pictures a few-shot configuration is adapted to: drawn from the target's `train` split by seed.

The draw depends on the seed and the category's file names alone. So every method gets the same pictures, and those of
fewer shots are the first of those of more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zsad.datasets.manifest import Manifest, Row
from zsad.training.normal_pictures import draw, pool

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


def draw_supports(manifest: Manifest, shots: int, seeds: list[int]) -> Supports:
    """The supports of all categories that are scored."""
    pools: dict[str, list[Row]] = {}
    left_out = {}
    for category in sorted({row.category for row in manifest.test}):
        found = pool(manifest, category)
        if len(found) < shots:
            left_out[category] = _shortage(manifest, category, len(found), shots)
        else:
            pools[category] = found
    by_seed = {
        seed: {category: draw(found, category, shots, seed) for category, found in pools.items()} for seed in seeds
    }
    return Supports(by_seed if pools else {}, left_out)


def _shortage(manifest: Manifest, category: str, found: int, shots: int) -> str:
    given = sum(row.category == category and not row.label for row in manifest.train)
    if not given:
        return "no normal training pictures"
    repeated = f" ({given - found} more repeat others or stand in the test split)" if given > found else ""
    return f"{found} normal training picture{'s' * (found != 1)}{repeated}, {shots} needed"
