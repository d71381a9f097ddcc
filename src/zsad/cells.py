"""Which cells of the grid (configuration × source, configuration × target) mean something. Imports no torch."""

from pathlib import Path
from typing import Any

from zsad.config import Configuration, Params
from zsad.datasets.manifest import load_manifest
from zsad.errors import UserError
from zsad.io import read_json
from zsad.predictions import PredictionInfo, write_not_applicable

CHECKPOINTS = Path("data/checkpoints")
PREDICTIONS = Path("data/predictions")


def read_record(key: str, source: str) -> dict[str, Any]:
    """checkpoint.json of a training cell."""
    path = CHECKPOINTS / key / source / "checkpoint.json"
    if not path.is_file():
        raise UserError(f"{path}: not found; run `zsad train` or `zsad adapt`, {key} {source}, or `dvc repro`")
    record: dict[str, Any] = read_json(path)
    return record


def why_unused(configuration: Configuration, source: str) -> str | None:
    """Why a configuration that names its own source is not trained on this one, or None.

    Datasets have no say: a dataset added later must not make anything train again.
    """
    own = configuration.source
    return None if own in (None, source) else f"{configuration.key} names {own} as its source"


def training_set(record: dict[str, Any]) -> str | None:
    """The auxiliary set that a checkpoint was trained on, by its record; None for untrained and few-shot methods."""
    source: str = record["source"]
    return None if record.get("trained") is False or "shots" in record else source


def why_not_applicable(params: Params, key: str, dataset: str) -> str | None:
    """Why predictions of `key` have no meaning on `dataset`, or None."""
    configuration = params.configuration(key)
    source = configuration.source_for(params, dataset)
    if configuration.shots:
        return read_record(key, dataset).get("unused")
    own = source == dataset and training_set(read_record(key, source)) == dataset
    return f"{key} is trained on {dataset}" if own else None


def skip_not_applicable(params: Params, key: str, dataset: str) -> str | None:
    """If predictions of `key` have no meaning on `dataset`, record that and return why."""
    reason = why_not_applicable(params, key, dataset)
    if reason is None:
        return None
    configuration, manifest = params.configuration(key), load_manifest(dataset)
    info = PredictionInfo(
        learner=key,
        method=configuration.method,
        protocol=configuration.protocol,
        source=None if configuration.shots else configuration.source_for(params, dataset),
        shots=configuration.shots,
        dataset=dataset,
        seeds=[],
        n_images=len(manifest.test),
        grid=(0, 0),
        upsample="nearest",
        sigma=0.0,
        config_hash=configuration.hash(params),
        dataset_hash=manifest.hash,
        reason=reason,
    )
    write_not_applicable(PREDICTIONS / key / dataset, info)
    return reason
