"""Four pictures of a category in one: an augmentation of some official trainings."""

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field

from zsad.learners.base import Learner, LearnerConfig, Sample


class MosaicConfig(LearnerConfig):
    """What can be set where a training may see mosaics; off by default."""

    augmented_views: int = Field(default=0, ge=0)
    """Views of each source picture, encoded once; an epoch draws one. 0 = the pictures as they are."""
    mosaic: float = Field(default=0.0, ge=0, le=1)
    """Share of views that join four anomalous pictures of the category; the others are the picture as it is."""


class MosaicLearner(Learner):
    """A learner whose views are mosaics or the picture itself."""

    @property
    def views(self) -> int:
        return self.config.augmented_views

    def view(self, sample: Sample, anomalous: Sequence[Callable[[], Sample]], generator: np.random.Generator) -> Sample:
        joined = anomalous and generator.random() < self.config.mosaic
        return mosaic(anomalous, generator) if joined else sample


def mosaic(read: Sequence[Callable[[], Sample]], generator: np.random.Generator) -> Sample:
    """2 × 2 anomalous pictures of a category on a canvas twice the first one's size; repeats are possible."""
    tiles = [read[int(generator.integers(len(read)))]() for _ in range(4)]
    H, W = tiles[0].mask.shape
    picture, mask = np.zeros((2 * H, 2 * W, 3), np.uint8), np.zeros((2 * H, 2 * W), bool)
    for number, tile in enumerate(tiles):
        top, left = number // 2 * H, number % 2 * W
        height, width = min(tile.mask.shape[0], 2 * H - top), min(tile.mask.shape[1], 2 * W - left)
        picture[top : top + height, left : left + width] = tile.picture[:height, :width]
        mask[top : top + height, left : left + width] = tile.mask[:height, :width]
    return Sample(picture, mask, 1)
