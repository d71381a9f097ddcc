"""The `score` stage: predictions + ground truth → one result cell. CPU only; starts without torch.

Pixel metrics: maps and masks at one resolution for all learners, pixels pooled over a category,
unweighted mean over categories, then mean and sample standard deviation over seeds. One image is held at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zsad.common.errors import UserError
from zsad.common.io import write_json
from zsad.config.params import Params
from zsad.config.schema import MetricsParams
from zsad.datasets.manifest import Manifest, Row, load_manifest
from zsad.datasets.masks import read_mask, resize_mask_area, resize_mask_paper
from zsad.evaluation.metrics.histogram import CONNECTIVITY, PixelHistogram, Truth, truth_of
from zsad.evaluation.metrics.image import image_metrics
from zsad.evaluation.metrics.names import IMAGE_METRICS, METRICS, PIXEL_METRICS
from zsad.evaluation.metrics.summaries import mean_of, sd_of, undefined_in
from zsad.evaluation.results import Cell, cell_path, rounded
from zsad.inference.maps import Floats, decode_logits, full_map, sigmoid
from zsad.inference.stored import PREDICTIONS, PredictionInfo, Predictions

if TYPE_CHECKING:
    from zsad.learners.base import Upsample

Values = dict[str, float | None]


@dataclass(frozen=True)
class Category:
    """One category's images, as indices into `manifest.test`, and its metrics for each seed."""

    images: list[int]
    per_seed: dict[int, Values]


def score_cell(params: Params, key: str, dataset: str) -> Cell:
    """Score configuration `key` on `dataset`; writes metrics/cells/<key>/<dataset>.json and returns it."""
    params.configuration(key)
    params.dataset(dataset)
    manifest = load_manifest(dataset)
    predictions = Predictions.open(PREDICTIONS / key / dataset)
    _check_same_data(predictions, manifest)
    cell = score(predictions, manifest, params.metrics)
    write_json(cell_path(key, dataset), cell)
    return cell


def score(predictions: Predictions, manifest: Manifest, metrics: MetricsParams) -> Cell:
    """The result cell of stored predictions on the test split that they were made for."""
    size, fpr_limit = resolution(metrics, manifest), metrics.aupro_fpr_limit
    categories = {} if predictions.info.reason else _score(predictions, manifest, size, fpr_limit)
    settings = {"resolution": list(size), "aupro_fpr_limit": fpr_limit, "connectivity": CONNECTIVITY}
    return {**_cell(predictions, manifest, categories), "metrics": settings}


def resolution(metrics: MetricsParams, manifest: Manifest) -> tuple[int, int]:
    """(height, width) at which pixel metrics of this dataset are computed."""
    if metrics.resolution is not None:
        return metrics.resolution, metrics.resolution
    width, height = manifest.size
    return height, width


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


def _check_same_data(predictions: Predictions, manifest: Manifest) -> None:
    info = predictions.info
    if info.dataset_hash != manifest.hash or info.n_images != len(manifest.test):
        raise UserError(
            f"{predictions.directory}: predicted on other images than data/manifests/{manifest.dataset} lists; "
            f"run `dvc repro`"
        )


def _score(
    predictions: Predictions, manifest: Manifest, size: tuple[int, int], fpr_limit: float
) -> dict[str, Category]:
    """Metrics of every category and seed."""
    labels = np.array([row.label for row in manifest.test])
    categories = {}
    for name, images in _by_category(manifest):
        if name in predictions.info.left_out:
            categories[name] = Category(images, {seed: dict.fromkeys(METRICS) for seed in predictions.info.seeds})
            continue
        pixels = _pixel_metrics(predictions, manifest, images, size, fpr_limit)
        per_seed = {}
        for seed in predictions.info.seeds:
            scores = image_scores(predictions, seed, name, images, fuse=manifest.has_pixel_labels)
            per_seed[seed] = {**_image_metrics(manifest, scores, labels[images]), **pixels[seed]}
        categories[name] = Category(images, per_seed)
    return categories


def _by_category(manifest: Manifest) -> Iterator[tuple[str, list[int]]]:
    for name in sorted({row.category for row in manifest.test}):
        yield name, [index for index, row in enumerate(manifest.test) if row.category == name]


def image_scores(predictions: Predictions, seed: int, category: str, images: list[int], fuse: bool = True) -> Floats:
    """Scores of one category's images, as predicted, or with `image_top`: half of it the mean of the map's top pixels.

    Both halves are stretched to [0, 1] over the category: it reads the test set, so only protocol `paper` asks for it.
    """
    scores, shares = predictions.scores(seed)[images], predictions.info.image_top
    if shares is None or not fuse:
        return scores
    share = shares.get(category, shares[""])
    top = np.array([_top_mean(sigmoid(decode_logits(predictions.map_codes(seed, i))), share) for i in images])
    return (_stretched(scores) + _stretched(top)) / 2


def _top_mean(probabilities: Floats, share: float) -> float:
    count = max(1, round(share * probabilities.size))
    return float(np.partition(probabilities.ravel(), -count)[-count:].mean())


def _stretched(values: Floats) -> Floats:
    return (values - values.min()) / (values.max() - values.min() + 1e-8)


def _image_metrics(manifest: Manifest, scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Values:
    return image_metrics(scores, labels) if manifest.has_image_labels else dict.fromkeys(IMAGE_METRICS)


def _pixel_metrics(
    predictions: Predictions, manifest: Manifest, images: list[int], size: tuple[int, int], fpr_limit: float
) -> dict[int, Values]:
    """Pixel metrics of one category for each seed; a mask is decoded once for all seeds.

    An anomalous picture without a usable mask is left out: which of its pixels are normal is not known.
    """
    info = predictions.info
    if not manifest.has_pixel_labels:
        return {seed: dict.fromkeys(PIXEL_METRICS) for seed in info.seeds}
    histograms = {seed: PixelHistogram() for seed in info.seeds}
    mode: Upsample = info.upsample  # type: ignore[assignment]  # PredictionInfo admits no other
    for image in (i for i in images if manifest.test[i].has_truth):
        truth = read_truth(manifest, manifest.test[image], size, info.protocol)
        for seed, histogram in histograms.items():
            histogram.add(full_map(predictions.map_codes(seed, image), size, mode, info.sigma), truth)
    return {seed: histogram.metrics(fpr_limit) for seed, histogram in histograms.items()}


def _cell(predictions: Predictions, manifest: Manifest, categories: dict[str, Category]) -> Cell:
    info = predictions.info
    seeds = info.seeds if categories else []
    per_seed = {seed: mean_of([c.per_seed[seed] for c in categories.values()], METRICS) for seed in seeds}
    over_seeds = list(per_seed.values())
    means = {name: mean_of(list(c.per_seed.values()), METRICS) for name, c in categories.items()}
    return {
        "learner": info.learner,
        "method": info.method,
        "protocol": info.protocol,
        "source": info.source,
        "shots": info.shots,
        "dataset": manifest.dataset,
        "domain": info.domain,
        "n_images": len(manifest.test),
        "config_hash": info.config_hash,
        "dataset_hash": manifest.hash,
        "prediction_hash": predictions.hash,
        "seeds": info.seeds,
        "mean": rounded(mean_of(over_seeds, METRICS)),
        "sd": rounded(sd_of(over_seeds, METRICS)),
        "per_seed": {str(seed): rounded(values) for seed, values in per_seed.items()},
        "categories": {name: _category(manifest, categories[name], values, info) for name, values in means.items()},
        "undefined": undefined_in(list(means.values()), METRICS),
        "reason": info.reason,
    }


def _category(manifest: Manifest, category: Category, values: Values, info: PredictionInfo) -> dict[str, Any]:
    rows = [manifest.test[image] for image in category.images]
    reason = info.left_out.get(rows[0].category)
    return {
        "n_images": len(rows),
        "n_anomalous": sum(row.label for row in rows),
        **rounded(values),
        **({"reason": reason} if reason else {}),
    }
