"""The MLflow model registry: one registered model per configuration, found by aliases, remade from files at any time.

A version holds the checkpoint of the configuration's first seed on the source that serves most targets; the other
checkpoints are artifacts of their train runs. `challenger` is the latest version, `champion` the one people rely on.
Only protocol `strict` is registered.
"""

import os
import re
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow.entities import LoggedModelOutput, Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types.schema import ParamSchema, ParamSpec

from zsad import tracking
from zsad.candidates import Candidate, candidates, check_files, checkpoint_file
from zsad.cells import CHECKPOINTS
from zsad.config import Params
from zsad.errors import UserError
from zsad.io import canonical_json, content_hash, file_sha256, read_json, write_json
from zsad.journal import now_ms
from zsad.metrics.results import cell_path
from zsad.tracking import Store, open_store, run_of
from zsad.trainings import Training, current_trainings, measured, target_means

RECEIPT = Path("data/registry/receipt.json")
SERVING = Path(__file__).with_name("serving.py")
CHAMPION, CHALLENGER = "champion", "challenger"


def register(params: Params) -> dict[str, Any]:
    """Bring every strict configuration into the registry (a few-shot one by target); returns and writes the receipt.

    Registering what is registered already changes nothing. Raises StoreError when MLflow cannot be reached: no
    receipt is written then, so the next `dvc repro` tries again.
    """
    trainings = list(current_trainings(params))
    chosen = candidates(params, trainings)
    for training in trainings:
        check_files(training)
    tracking.sync(params)
    registered = {candidate.file for candidate in chosen}
    for training in trainings:
        with open_store() as store:
            _upload_checkpoints(store, training, registered)
    for candidate in chosen:
        with open_store() as store:
            _register_one(store, candidate)
    receipt = {
        candidate.name: {
            "source": candidate.training.start["source"],
            "checkpoints": candidate.training.checkpoints,
            "config_hash": candidate.training.start["config_hash"],
        }
        for candidate in chosen
    }
    write_json(RECEIPT, receipt)
    return receipt


def list_models() -> list[dict[str, Any]]:
    """One row per version of every model of ours, newest first: what it is, its aliases, its means over targets."""
    with open_store() as store:
        models = store.client.search_registered_models()
        return [_row(store, version) for model in models for version in _versions(store, model.name)]


def promote(key: str) -> str:
    """Move alias `champion` to where `challenger` points; returns what was done.

    Refused when the results on disk are not the challenger's: what the gate has let pass would be something else.
    """
    with open_store() as store:
        new = _by_alias(store, key, CHALLENGER)
        results = cell_path(new.tags.get("learner", key), "any").parent
        own = new.tags["source"] if new.tags.get("shots", "0") != "0" else "*"  # what is adapted serves one dataset
        if new.tags["config_hash"] not in {read_json(cell)["config_hash"] for cell in results.glob(f"{own}.json")}:
            raise UserError(f"{key}: {results} does not hold the challenger's results; run `dvc repro`")
        aliases = store.client.get_registered_model(key).aliases
        old = aliases.get(CHAMPION)
        if str(old) == str(new.version):
            return f"{key}: version {old} is champion already"
        store.client.set_registered_model_alias(key, CHAMPION, new.version)
        return f"{key}: champion is now version {new.version}" + (f" (was {old})" if old else "")


def resolve(uri: str) -> Path:
    """Checkpoint file of `models:/KEY@alias` or `models:/KEY/VERSION`; the registry's copy when none lies on disk."""
    parts = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))", uri)
    if parts is None:
        raise UserError(f"{uri}: write models:/KEY@champion, models:/KEY@challenger or models:/KEY/VERSION")
    key, alias, number = parts.groups()
    with open_store() as store:
        version = _by_alias(store, key, alias) if alias else _by_number(store, key, number)
        tags = version.tags
        if "checkpoint_sha256" not in tags:
            raise UserError(f"{uri}: not registered by zsad; `zsad models` lists what is")
        name = f"seed_{tags['seed']}.safetensors"
        local = CHECKPOINTS / tags.get("learner", key) / tags["source"] / name
        if local.is_file() and file_sha256(local) == tags["checkpoint_sha256"]:
            return local
        folder = store.client.get_logged_model(_model_id(version)).artifact_location
        stored = Path(mlflow.artifacts.download_artifacts(f"{folder}/artifacts/{name}", tracking_uri=store.uri))
    if file_sha256(stored) != tags["checkpoint_sha256"]:
        raise UserError(f"{uri}: the checkpoint in MLflow's artifacts ({stored}) is not the one that was registered")
    return stored


def _upload_checkpoints(store: Store, training: Training, registered: set[Path]) -> None:
    """Every checkpoint that no version will hold, as artifacts of its train run."""
    run_id = run_of(store, training)
    if "zsad.artifacts" in store.client.get_run(run_id).data.tags:
        return
    files = [checkpoint_file(training, seed) for seed in training.checkpoints]
    for file in files:
        if file not in registered:
            store.client.log_artifact(run_id, str(file), "checkpoints")
    store.client.set_tag(run_id, "zsad.artifacts", "checkpoints")


def _register_one(store: Store, candidate: Candidate) -> None:
    client, key, tags = store.client, candidate.name, candidate.tags
    run_id = run_of(store, candidate.training)
    known = ("checkpoint_sha256", "config_hash")
    same = [v for v in _versions(store, key) if all(v.tags.get(name) == tags[name] for name in known)]
    if same:
        version = same[0]
        for name, value in tags.items():
            if version.tags.get(name) != value:
                client.set_model_version_tag(key, version.version, name, value)
    else:
        model_id = _log_model(store, run_id, candidate)
        if not client.search_registered_models(f"name='{key}'"):
            client.create_registered_model(key)
        version = client.create_model_version(key, f"models:/{model_id}", run_id, tags, model_id=model_id)
        link = canonical_json([{"name": key, "version": int(version.version)}])
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})  # the UI's way from model to version
    _log_model_metrics(store, run_id, _model_id(version), candidate)
    aliases = client.get_registered_model(key).aliases
    if str(aliases.get(CHALLENGER)) != str(version.version):
        client.set_registered_model_alias(key, CHALLENGER, version.version)
    if CHAMPION not in aliases:
        client.set_registered_model_alias(key, CHAMPION, version.version)


def _log_model(store: Store, run_id: str, candidate: Candidate) -> str:
    """Log the serving code and the checkpoint as a LoggedModel of the train run; returns its id.

    Not within an active run: MLflow would copy the run's losses to the model and end the run a second time.
    """
    client, training = store.client, candidate.training
    model = client.create_logged_model(
        store.experiment_id,
        name=candidate.name,
        source_run_id=run_id,
        tags=candidate.tags,
        params=client.get_run(run_id).data.params,
    )
    mlflow.pyfunc.log_model(
        name=candidate.name,
        python_model=str(SERVING),
        artifacts={"checkpoint": str(candidate.file)},
        pip_requirements=[f"{name}=={metadata.version(name)}" for name in ("zsad", "mlflow")],
        metadata={"seed": candidate.seed, "checkpoints": training.checkpoints},
        model_id=model.model_id,
    )
    if training.start.get("shots"):
        _take_category(f"models:/{model.model_id}")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return str(model.model_id)


def _take_category(uri: str) -> None:
    """Let a few-shot model be told the category of its pictures: MLflow reads parameters from no type hint."""
    found = mlflow.models.get_model_info(uri).signature
    category = ParamSchema([ParamSpec("category", "string", "")])
    signature = ModelSignature(found.inputs, found.outputs, category)
    signature._is_signature_from_type_hint = found._is_signature_from_type_hint
    mlflow.models.set_signature(uri, signature)


def _log_model_metrics(store: Store, run_id: str, model_id: str, candidate: Candidate) -> None:
    """Each target's metrics on the LoggedModel, tied to the dataset by name and digest; then the means over targets.

    MLflow keys a model's metrics by name and time but not by dataset, so each dataset gets a millisecond of its own;
    the means come last and are therefore what the run shows under the plain names.
    """
    digest = content_hash(candidate.cells)
    if store.client.get_logged_model(model_id).tags.get("zsad.cells") == digest:
        return
    now = now_ms()
    for offset, cell in enumerate(candidate.cells):
        name, hashed = cell["dataset"], cell["dataset_hash"][: tracking.DIGEST_CHARS]
        extra = {"model_id": model_id, "dataset_name": name, "dataset_digest": hashed, "run_id": run_id}
        metrics = [Metric(metric, value, now + offset, 0, **extra) for metric, value in measured(cell).items()]
        store.client.log_batch(run_id, metrics=metrics)
    last = now + len(candidate.cells)
    means = target_means(candidate.cells)
    metrics = [Metric(name, value, last, 0, model_id=model_id, run_id=run_id) for name, value in means.items()]
    store.client.log_batch(run_id, metrics=metrics)
    store.client.set_logged_model_tags(model_id, {**candidate.tags, "zsad.cells": digest})


def _model_id(version: ModelVersion) -> str:
    """The LoggedModel behind a version; SQL stores keep it in `source` only."""
    return str(version.source).removeprefix("models:/")


def _versions(store: Store, key: str) -> list[ModelVersion]:
    found = [v for v in store.client.search_model_versions(f"name='{key}'") if "checkpoint_sha256" in v.tags]
    return sorted(found, key=lambda version: -int(version.version))


def _row(store: Store, version: ModelVersion) -> dict[str, Any]:
    aliases = store.client.get_registered_model(version.name).aliases
    tags = version.tags
    return {
        "name": version.name,
        "version": int(version.version),
        "aliases": sorted(alias for alias, number in aliases.items() if str(number) == str(version.version)),
        **{name: tags.get(name) for name in ("protocol", "source", "config_hash")},
        "mean": {name.removeprefix("mean."): float(tags[name]) for name in sorted(tags) if name.startswith("mean.")},
    }


def _by_alias(store: Store, key: str, alias: str) -> ModelVersion:
    _require_model(store, key)
    aliases = store.client.get_registered_model(key).aliases
    if alias not in aliases:
        raise UserError(f"models:/{key}@{alias}: no such alias; {key} has: {', '.join(sorted(aliases)) or 'none'}")
    return _by_number(store, key, str(aliases[alias]))


def _by_number(store: Store, key: str, number: str) -> ModelVersion:
    _require_model(store, key)
    found = {str(version.version): version for version in store.client.search_model_versions(f"name='{key}'")}
    if number not in found:
        raise UserError(f"models:/{key}/{number}: no such version; {key} has: {', '.join(sorted(found, key=int))}")
    return found[number]


def _require_model(store: Store, key: str) -> None:
    names = sorted(model.name for model in store.client.search_registered_models())
    if key not in names:
        there = ", ".join(names) or "none yet: `dvc repro register` makes them"
        raise UserError(f"models:/{key}: no such registered model; there are: {there}")
