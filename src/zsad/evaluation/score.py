"""The `score` stage: predictions + ground truth → one result cell. CPU only; starts without torch.

Pixel metrics: maps and masks at one resolution for all learners, pixels pooled over a category,
unweighted mean over categories, then mean and sample standard deviation over seeds. One image is held at a time.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import write_json
from zsad.config.params import Params
from zsad.config.schema import MetricsParams
from zsad.datasets.manifest import Manifest, load_manifest
from zsad.evaluation.category import Category, score_category
from zsad.evaluation.metrics.bootstrap import Draws, interval, mean_draws, standard_error
from zsad.evaluation.metrics.histogram import CONNECTIVITY
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.metrics.summaries import mean_of, sd_of, undefined_in
from zsad.evaluation.pixels import Values, type_of
from zsad.evaluation.renamed import changes, under_other_names
from zsad.evaluation.results import DIGITS, Cell, cell_path, rounded
from zsad.inference.ensemble import RowPredictions, predictions_of
from zsad.inference.stored import Provenance


def score_cell(params: Params, key: str, dataset: str) -> Cell:
    """Score row `key` on `dataset`; writes metrics/cells/<key>/<dataset>.json and returns it."""
    params.row(key)
    params.dataset(dataset)
    manifest = load_manifest(dataset)
    predictions = predictions_of(key, dataset)
    check_same_data(predictions, manifest)
    cell = score(predictions, manifest, params.metrics)
    for naming, other in under_other_names(predictions).items():
        renamed = (other, score(other, manifest, params.metrics))
        cell.setdefault("class_names", {})[naming] = changes((predictions, cell), renamed, manifest)
    write_json(cell_path(key, dataset), cell)
    return cell


def score(predictions: RowPredictions, manifest: Manifest, metrics: MetricsParams) -> Cell:
    """The result cell of stored predictions on the test split that they were made for."""
    categories = score_categories(predictions, manifest, metrics)
    size, fpr_limit = resolution(metrics, manifest), metrics.aupro_fpr_limit
    settings = {"resolution": list(size), "aupro_fpr_limit": fpr_limit, "connectivity": CONNECTIVITY}
    return {**_cell(predictions, manifest, categories), "metrics": settings}


def score_categories(predictions: RowPredictions, manifest: Manifest, metrics: MetricsParams) -> dict[str, Category]:
    """All categories by name; none where the configuration is not applicable."""
    if predictions.info.reason:
        return {}
    size = resolution(metrics, manifest)
    return {
        name: score_category(predictions, manifest, images, size, metrics.aupro_fpr_limit)
        for name, images in by_category(manifest)
    }


def cell_draws(categories: Mapping[str, Category]) -> Draws:
    """{metric: [1+B]}, the mean over the categories that define it, in each draw of pictures."""
    found = {metric: [c.draws[metric] for c in categories.values() if metric in c.draws] for metric in METRICS}
    return {metric: mean_draws(draws) for metric, draws in found.items() if draws}


def resolution(metrics: MetricsParams, manifest: Manifest) -> tuple[int, int]:
    """(height, width) at which pixel metrics of this dataset are computed."""
    if metrics.resolution is not None:
        return metrics.resolution, metrics.resolution
    width, height = manifest.size
    return height, width


def check_same_data(predictions: RowPredictions, manifest: Manifest) -> None:
    """UserError where predictions were made for other images than the manifest lists."""
    info = predictions.info
    if info.dataset_hash != manifest.hash or info.n_images != len(manifest.test):
        raise UserError(
            f"{predictions.directory}: predicted on other images than data/manifests/{manifest.dataset} lists; "
            f"run `dvc repro`"
        )


def by_category(manifest: Manifest) -> Iterator[tuple[str, list[int]]]:
    """(category, its images as indices into `manifest.test`), by name."""
    for name in sorted({row.category for row in manifest.test}):
        yield name, [index for index, row in enumerate(manifest.test) if row.category == name]


def _cell(predictions: RowPredictions, manifest: Manifest, categories: dict[str, Category]) -> Cell:
    info = predictions.info
    seeds = info.seeds if categories else []
    per_seed = {seed: mean_of([c.per_seed[seed] for c in categories.values()], METRICS) for seed in seeds}
    over_seeds = list(per_seed.values())
    mean, draws = mean_of(over_seeds, METRICS), cell_draws(categories)
    means = {name: _mean(category.per_seed) for name, category in categories.items()}
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
        "mean": rounded(mean),
        "sd": rounded(sd_of(over_seeds, METRICS)),
        "interval": _intervals(draws, mean),
        "se": rounded({metric: standard_error(values) for metric, values in draws.items()}),
        "per_seed": {str(seed): rounded(values) for seed, values in per_seed.items()},
        "categories": {name: _category(manifest, categories[name], values, info) for name, values in means.items()},
        "undefined": undefined_in(list(means.values()), METRICS),
        "reason": info.reason,
    }


def _category(manifest: Manifest, category: Category, values: Values, info: Provenance) -> dict[str, Any]:
    rows = [manifest.test[image] for image in category.images]
    reason = info.left_out.get(rows[0].category)
    defects = {
        kind: {"n_images": sum(type_of(row) == kind for row in rows), **rounded(_mean(per_seed))}
        for kind, per_seed in category.defects.items()
    }
    return {
        "n_images": len(rows),
        "n_anomalous": sum(row.label for row in rows),
        **rounded(values),
        "interval": _intervals(category.draws, values),
        "defects": defects,
        **({"reason": reason} if reason else {}),
    }


def _mean(per_seed: Mapping[int, Values]) -> Values:
    return mean_of(list(per_seed.values()), METRICS)


def _intervals(draws: Draws, values: Values) -> dict[str, list[float]]:
    """95 % intervals: where the values would lie with other pictures of the same kind."""
    known = {metric: value for metric, value in values.items() if value is not None}
    return {metric: [round(x, DIGITS) for x in interval(draws[metric], value)] for metric, value in known.items()}
