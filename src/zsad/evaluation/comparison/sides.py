"""What is compared: stored predictions of a configuration on a dataset, and what makes two of them unlike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, load_manifest
from zsad.evaluation.category import image_scores
from zsad.evaluation.comparison.delong import Placements, placements
from zsad.evaluation.comparison.paired import Side
from zsad.evaluation.metrics.names import IMAGE_METRICS
from zsad.evaluation.score import check_same_data, score_categories
from zsad.inference.ensemble import RowPredictions, predictions_of
from zsad.inference.stored import Provenance

LEAST = 2  # pictures of either label below which DeLong's variance does not exist


@dataclass(frozen=True)
class Stored:
    """Predictions with the manifest that they were made for."""

    predictions: RowPredictions
    manifest: Manifest

    @property
    def info(self) -> Provenance:
        """What the predictions are."""
        return self.predictions.info

    def side(self, params: Params, metrics: Iterable[str]) -> Side:
        """Metrics and their draws; pixels are not read where no pixel metric is asked for."""
        manifest = self.manifest
        if set(metrics) <= set(IMAGE_METRICS) and not self.predictions.fuses_maps:
            manifest = replace(manifest, has_pixel_labels=False)
        return Side(score_categories(self.predictions, manifest, params.metrics), chance=is_drawn(self.info))

    def placements(self) -> dict[str, Placements]:
        """{category: placements of its pictures}, seeds averaged; categories that DeLong can judge."""
        if not self.manifest.has_image_labels:
            return {}
        return {
            name: self._placements(name, images)
            for name, images in self._images().items()
            if min(self._labels(images).count(label) for label in (0, 1)) >= LEAST
        }

    def _images(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, row in enumerate(self.manifest.test):
            if row.category not in self.info.left_out:
                found.setdefault(row.category, []).append(index)
        return dict(sorted(found.items()))

    def _labels(self, images: Sequence[int]) -> list[int]:
        return [self.manifest.test[image].label for image in images]

    def _placements(self, category: str, images: list[int]) -> Placements:
        import numpy as np

        fuse = self.manifest.has_pixel_labels
        scores = [image_scores(self.predictions, seed, category, images, fuse) for seed in self.info.seeds]
        return placements(scores, np.array(self._labels(images)))


def stored(key: str, dataset: str) -> Stored:
    """The predictions of `key` on `dataset`. UserError where there are none, or they are of other pictures."""
    manifest = load_manifest(dataset)
    predictions = predictions_of(key, dataset)
    check_same_data(predictions, manifest)
    return Stored(predictions, manifest)


def is_drawn(info: Provenance) -> bool:
    """Whether another seed would give another model: it was trained, or its normal pictures were drawn."""
    return info.source is not None or info.shots > 0


def unlike(a: Sequence[Provenance], b: Sequence[Provenance]) -> list[str]:
    """In what two configurations differ beside their method: a reader must know before believing a number."""
    (first, *_), (second, *_) = a, b
    remarks = []
    if first.protocol != second.protocol:
        remarks.append(
            f"{first.learner} follows protocol `{first.protocol}`, {second.learner} `{second.protocol}`: `paper` reads"
            " the target, so a lead of it is no lead of the method; masks and image scores are made by its own rules"
        )
    if first.shots != second.shots:
        shown = " and ".join(f"{info.learner} {info.shots}" for info in (first, second))
        remarks.append(f"normal pictures of the target that each has seen, by category: {shown}")
    for one, other in zip(a, b, strict=True):
        if one.source and other.source and one.source != other.source:
            remarks.append(
                f"{one.dataset}: {one.learner} is trained on {one.source}, {other.learner} on {other.source}"
            )
    return remarks
