"""Pixels of one category: stored maps and masks → counts by defect type and by picture, from which metrics follow."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zsad.datasets.manifest import Manifest, Row
from zsad.datasets.masks import read_mask, resize_mask_area, resize_mask_paper
from zsad.evaluation.metrics.bootstrap import PixelDraws, Times, in_sample_order
from zsad.evaluation.metrics.histogram import PixelHistogram, Truth, truth_of
from zsad.inference.ensemble import RowPredictions

Values = dict[str, float | None]
NORMAL = ""  # the type of normal pictures, whatever their folder is called


@dataclass(frozen=True)
class SeedPixels:
    """What one seed's maps say of a category's pixels: histograms by defect type, and counts of every draw."""

    by_type: dict[str, PixelHistogram]
    draws: PixelDraws

    def metrics(self, types: Iterable[str], fpr_limit: float) -> Values:
        """The four pixel metrics of the pictures of these types."""
        whole = PixelHistogram()
        for name in types:
            whole.merge(self.by_type[name])
        return whole.metrics(fpr_limit)


def count_pixels(
    predictions: RowPredictions, manifest: Manifest, images: list[int], size: tuple[int, int], times: Times
) -> dict[int, SeedPixels]:
    """{seed: counts of the images' pixels}, empty without pixel labels. One image is held at a time.

    times [B,images]: how often each is in each draw of pictures.

    An anomalous picture without a usable mask is left out: which of its pixels are normal is not known.
    """
    info = predictions.info
    if not manifest.has_pixel_labels:
        return {}
    kinds = {type_of(manifest.test[image]) for image in images}
    counts = {seed: SeedPixels({kind: PixelHistogram() for kind in kinds}, PixelDraws(times)) for seed in info.seeds}
    for position in in_sample_order([p for p, image in enumerate(images) if manifest.test[image].has_truth]):
        row = manifest.test[images[position]]
        truth = read_truth(manifest, row, size, info.protocol)
        for seed, pixels in counts.items():
            picture = PixelHistogram()
            picture.add(predictions.full_map(seed, images[position], size), truth)
            pixels.by_type[type_of(row)].merge(picture)
            pixels.draws.add(position, picture)
    return counts


def read_truth(manifest: Manifest, row: Row, size: tuple[int, int], protocol: str) -> Truth:
    """Anomalous pixels of one image at `size` (height, width), by the protocol's rule for masks."""
    height, width = size
    if not row.mask:
        return truth_of(np.zeros(size, dtype=bool))
    path = manifest.root / row.mask
    if protocol == "paper":  # its rule makes squares; where the set is not square, from its longer side
        mask = resize_mask_paper(path, max(size))
    else:
        mask = read_mask(path, (row.width, row.height), manifest.mask_rule)
    return truth_of(resize_mask_area(mask, (width, height)))


def type_of(row: Row) -> str:
    """The defect type of a picture, `NORMAL` of a normal one."""
    return row.defect_type if row.label else NORMAL
