"""Normal pictures of a source, for a learner that compares: every training picture has one of its category beside it.

Each category has a pool of them, encoded once; which one is drawn anew for every picture of every batch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures, encode_images
from zsad.clip.inputs import iterate_images
from zsad.common.errors import UserError
from zsad.common.progress import progress
from zsad.datasets.manifest import Manifest, Row
from zsad.training.normal_pictures import draw, pool
from zsad.training.stored_features import StoredFeatures

ByCategory = Mapping[str, Sequence[Row]]


class References:
    """The features of what `draw_references` has drawn, in files in `directory`; `root`: of the source."""

    def __init__(self, root: Path, drawn: ByCategory, clip: Clip, directory: Path) -> None:
        self.clip = clip
        self.paths = [root / row.path for rows in drawn.values() for row in rows]
        self.places: dict[str, range] = {}
        for category, rows in drawn.items():
            start = sum(map(len, self.places.values()))
            self.places[category] = range(start, start + len(rows))
        self.features = StoredFeatures(directory, len(self.paths))

    def encode(self, spec: FeatureSpec, batch: int, precision: str, resize_first: bool) -> None:
        """Run the frozen image tower once over the pool."""
        batches = iterate_images(self.paths, self.clip.image_size, batch, resize_first)
        for where, images in progress(batches, -(-len(self.paths) // batch), "encoding normal pictures"):
            self.features.put(where, encode_images(self.clip, images, spec, precision))

    def draw(self, rows: Sequence[Row]) -> ImageFeatures:
        """Features of one normal picture of each row's category (torch's generator)."""
        pools = [self.places[row.category] for row in rows]
        return self.features.get([pool[int(torch.randint(len(pool), ()))] for pool in pools], self.clip.device)


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
