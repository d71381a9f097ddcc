"""`zsad.evaluate`: a model on any folder with ground truth, by the code of the stages `predict` and `score`."""

from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from zsad.common.errors import UserError
from zsad.config.schema import DatasetParams, MetricsParams
from zsad.config.validation import validate
from zsad.datasets.index import build_manifest
from zsad.datasets.manifest import Manifest
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.score import score
from zsad.inference.model import Predictor
from zsad.inference.stored import PredictionInfo, Predictions, PredictionWriter

COUNTS = ("n_images", "n_anomalous")


def evaluate(
    predictor: Predictor,
    folder: str | PathLike[str],
    *,
    resolution: int | None = None,
    aupro_fpr_limit: float = 0.3,
    batch_size: int = 8,
) -> pd.DataFrame:
    """Metrics of a model on a folder in the layout of MVTec AD: a row for each category, and their mean as the last.

    resolution: side in pixels at which pixel metrics are computed; None = the median size of the pictures.
    Columns: n_images, n_anomalous and the seven metrics in [0, 1]; NaN where one is undefined (no masks, no normal
    pictures). Names in prompts are those of the folders. A few-shot model is scored on the categories that it has.
    UserError for a folder that cannot be read as such.
    """
    if not (root := Path(folder)).is_dir():
        raise UserError(f"{root}: no such folder")
    given = {"resolution": resolution, "aupro_fpr_limit": float(aupro_fpr_limit)}
    settings = validate(MetricsParams, given, "evaluate")
    manifest = build_manifest("folder", DatasetParams(kind="folder", path=str(root)), root)
    with TemporaryDirectory() as scratch:
        stored = Path(scratch) / "predictions"
        with PredictionWriter(stored, _info(predictor, manifest)) as writer:
            predictor.store(writer, manifest, batch_size)
        cell = score(Predictions.open(stored), manifest, settings)
    rows = {name: {column: values[column] for column in (*COUNTS, *METRICS)} for name, values in _scored(cell).items()}
    totals = {column: sum(row[column] for row in rows.values()) for column in COUNTS}
    rows["mean"] = {**totals, **cell["mean"]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*COUNTS, *METRICS]).astype(
        dict.fromkeys(METRICS, float)
    )


def _info(predictor: Predictor, manifest: Manifest) -> PredictionInfo:
    learner = next(iter(predictor.learners.values()))
    there = {row.category for row in manifest.test}
    missing = sorted(there - (there if "" in predictor.learners else set(predictor.learners)))
    if len(missing) == len(there):
        known = ", ".join(predictor.learners)
        raise UserError(f"{manifest.root}: has {', '.join(missing)}, but this few-shot model was adapted to: {known}")
    return PredictionInfo(
        learner="model",
        method="",
        protocol="strict",
        source=None,
        shots=0,
        dataset=manifest.dataset,
        domain=manifest.domain,
        seeds=[0],
        n_images=len(manifest.test),
        grid=learner.map_grid,
        upsample=learner.upsample,
        sigma=learner.sigma,
        config_hash="",
        dataset_hash=manifest.hash,
        left_out=dict.fromkeys(missing, "the model has no such category"),
    )


def _scored(cell: dict) -> dict[str, dict]:
    return {name: values for name, values in cell["categories"].items() if "reason" not in values}
