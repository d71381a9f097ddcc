"""Normal pictures of a source, for a learner that compares: every training picture has one of its category beside it.

Each category has a pool of them, encoded once; which one is drawn anew for every picture of every batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from zsad.clip.backbone import ImageFeatures
from zsad.clip.inputs import iterate_images
from zsad.common.errors import UserError
from zsad.datasets.manifest import Manifest, Row
from zsad.training.feature_store import FeatureStore
from zsad.training.normal_pictures import draw, pool
from zsad.training.passes import Pass
from zsad.training.stored_features import StoredFeatures, stored_features

ByCategory = Mapping[str, Sequence[Row]]


class References:
    """The features of what `draw_references` has drawn; `root`: of the source."""

    features: StoredFeatures

    def __init__(self, root: Path, drawn: ByCategory) -> None:
        self.root = root
        self.rows = [row for rows in drawn.values() for row in rows]
        self.places: dict[str, range] = {}
        for category, rows in drawn.items():
            start = sum(map(len, self.places.values()))
            self.places[category] = range(start, start + len(rows))

    def encode(self, stores: Sequence[FeatureStore], source: Pass) -> None:
        """Run the frozen image tower once over the pool, as over the pictures of `source`."""
        one = replace(source, pictures=[row.pixel_hash for row in self.rows], views=1, viewed=None)
        paths = [self.root / row.path for row in self.rows]
        batches = partial(iterate_images, paths, one.clip.image_size, one.batch, one.resize_first)
        kept = stored_features(stores, one, batches, "encoding normal pictures")
        assert kept is not None  # the last of the stores has no budget
        self.features = kept

    def draw(self, rows: Sequence[Row], device: torch.device) -> ImageFeatures:
        """Features of one normal picture of each row's category (torch's generator)."""
        pools = [self.places[row.category] for row in rows]
        return self.features.get([pool[int(torch.randint(len(pool), ()))] for pool in pools], device)


def draw_references(manifest: Manifest, count: int) -> dict[str, list[Row]]:
    """At most `count` normal training pictures of every category of a source, for learners that compare with them."""
    categories = sorted({row.category for row in manifest.trainable})
    drawn = {category: draw(pool(manifest, category), category, count, 0) for category in categories}
    if missing := [category for category, rows in drawn.items() if not rows]:
        raise UserError(
            f"{manifest.root}: {', '.join(missing)}: the learner compares with normal training pictures of each"
            " category, and there are none; add some to the split `train`, or name another set under `sources`"
        )
    return drawn
