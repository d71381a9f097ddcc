"""One category of a result cell: metrics by seed and by defect type, and how far other pictures would move them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from zsad.datasets.manifest import Manifest
from zsad.evaluation.metrics.bootstrap import Draws, draw_pictures, image_draws, mean_draws
from zsad.evaluation.metrics.image import image_metrics
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.pixels import NORMAL, Values, count_pixels, type_of
from zsad.inference.ensemble import EnsemblePredictions, RowPredictions
from zsad.inference.maps import Floats, decode_logits, sigmoid

UNDEFINED: Values = dict.fromkeys(METRICS)


@dataclass(frozen=True)
class Category:
    """One category's images, as indices into `manifest.test`, and its metrics for each seed.

    defects: {type: {seed: metrics}}, of the type's pictures beside all normal ones. draws: {metric: [1+B]}, the mean
    over seeds in each draw of pictures (`metrics.bootstrap`); a metric without a value is not there.
    """

    images: list[int]
    per_seed: dict[int, Values]
    defects: dict[str, dict[int, Values]] = field(default_factory=dict)
    draws: Draws = field(default_factory=dict)


def score_category(
    predictions: RowPredictions, manifest: Manifest, images: list[int], size: tuple[int, int], fpr_limit: float
) -> Category:
    """Metrics of one category's images; pixel metrics at `size` (height, width)."""
    rows, info = [manifest.test[image] for image in images], predictions.info
    if rows[0].category in info.left_out:
        return Category(images, dict.fromkeys(info.seeds, UNDEFINED))
    labels, types = np.array([row.label for row in rows]), np.array([type_of(row) for row in rows])
    fuse = manifest.has_pixel_labels
    scores = {seed: image_scores(predictions, seed, rows[0].category, images, fuse) for seed in info.seeds}
    times = draw_pictures(labels, f"{manifest.dataset}/{rows[0].category}")
    pixels = count_pixels(predictions, manifest, images, size, times)

    def metrics(seed: int, names: Iterable[str]) -> Values:
        values, members = dict(UNDEFINED), np.isin(types, list(names))
        if manifest.has_image_labels:
            values |= image_metrics(scores[seed][members], labels[members])
        return values | (pixels[seed].metrics(names, fpr_limit) if pixels else {})

    kinds = sorted(set(types.tolist()))
    per_seed = {seed: metrics(seed, kinds) for seed in info.seeds}
    beside_normal = [kind for kind in kinds if kind != NORMAL] if NORMAL in kinds else []
    defects = {kind: {seed: metrics(seed, [NORMAL, kind]) for seed in info.seeds} for kind in beside_normal}
    draws = [
        (image_draws(scores[seed], labels, times) if manifest.has_image_labels else {})
        | (pixels[seed].draws.metrics(fpr_limit) if pixels else {})
        for seed in info.seeds
    ]
    return Category(images, per_seed, defects, _mean_draws(draws))


def image_scores(predictions: RowPredictions, seed: int, category: str, images: list[int], fuse: bool = True) -> Floats:
    """Scores of one category's images, as predicted, or with `image_top`: half of it the mean of the map's top pixels.

    Both halves are stretched to [0, 1] over the category: it reads the test set, so only protocol `paper` asks for it.
    Those of an ensemble are the mean of what its members are scored by.
    """
    if isinstance(predictions, EnsemblePredictions):
        return predictions.mean(seed, lambda member, own: image_scores(member, own, category, images, fuse))
    scores, shares = predictions.scores(seed)[images], predictions.info.image_top
    if shares is None or not fuse:
        return scores
    share = shares.get(category, shares[""])
    top = np.array([_top_mean(sigmoid(decode_logits(predictions.map_codes(seed, i))), share) for i in images])
    return (_stretched(scores) + _stretched(top)) / 2


def _mean_draws(per_seed: Sequence[Draws]) -> Draws:
    means = {metric: mean_draws([draws[metric] for draws in per_seed]) for metric in per_seed[0]}
    return {metric: draws for metric, draws in means.items() if not np.isnan(draws[0])}


def _top_mean(probabilities: Floats, share: float) -> float:
    count = max(1, round(share * probabilities.size))
    return float(np.partition(probabilities.ravel(), -count)[-count:].mean())


def _stretched(values: Floats) -> Floats:
    return (values - values.min()) / (values.max() - values.min() + 1e-8)
