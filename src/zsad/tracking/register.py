"""The `register` stage: a version in the MLflow model registry for each configuration, remade from files at any time.

A version holds the checkpoint of the configuration's first seed on the source that serves most targets; the other
checkpoints are artifacts of their train runs. `challenger` is the latest version, `champion` the one people rely on:
the one promoted last, or the first there was. Only protocol `strict` is registered.
"""

import os
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow.entities import LoggedModelOutput, Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types.schema import ParamSchema, ParamSpec

from zsad.common.io import canonical_json, content_hash, write_json
from zsad.common.progress import log
from zsad.config.params import Params
from zsad.tracking import calibrations, runs
from zsad.tracking.candidates import Candidate, candidates, check_files, checkpoint_file
from zsad.tracking.comparison import compare
from zsad.tracking.connection import Store, open_store
from zsad.tracking.descriptions import describe
from zsad.tracking.history import Training, current_trainings, measured, target_means
from zsad.tracking.journal import now_ms
from zsad.tracking.promotions import Promotion, promoted_candidate, promotions
from zsad.tracking.runs import run_of
from zsad.tracking.versions import CHALLENGER, CHAMPION, model_id_of, versions_of

RECEIPT = Path("data/registry/receipt.json")
SERVING = Path(__file__).with_name("serving.py")
SERVING_FORMAT = "2"  # of the code that a version holds; a version with older code is made anew, with the same weights


def register(params: Params) -> dict[str, Any]:
    """Bring every strict configuration into the registry (a few-shot one by target); returns and writes the receipt.

    Registering what is registered already changes nothing. Raises StoreError when MLflow cannot be reached: no
    receipt is written then, so the next `dvc repro` tries again.
    """
    trainings = list(current_trainings(params))
    chosen = candidates(params, trainings)
    for training in trainings:
        check_files(training)
    runs.sync(params)
    compare(params)
    registered = {candidate.file for candidate in chosen}
    for training in trainings:
        with open_store() as store:
            _upload_checkpoints(store, training, registered)
    promoted, versions = promotions(), []
    for candidate in chosen:
        with open_store() as store:
            version = _version_of(store, candidate)
            versions.append(version)
            _point(store, version, CHALLENGER)
            if candidate.name not in promoted:
                _let_first_be_champion(store, version)
    for promotion in promoted.values():
        with open_store() as store:
            _restore(store, promotion)
    describe(params, list(zip(chosen, versions, strict=True)))
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


def rebuild(params: Params) -> list[str]:
    """`zsad track sync`: runs from journals and checkpoints; what was registered before is registered again."""
    counts = {**runs.sync(params), **compare(params)}
    told = [", ".join(f"{count} {name}" for name, count in counts.items())]
    if RECEIPT.is_file():  # in case the store is a new one
        told.append(f"registered: {', '.join(register(params))}")
    return told


def _restore(store: Store, promotion: Promotion) -> None:
    """Let `champion` be the version promoted last, made again from its kept checkpoint where the registry is new."""
    there = [v for v in versions_of(store, promotion.name) if v.tags["checkpoint_sha256"] == promotion.sha256]
    current = [version for version in there if version.tags.get("serving") == SERVING_FORMAT]
    candidate = None if current else promoted_candidate(promotion)
    if candidate is not None:
        runs.replay(store, candidate.training)
        current = [_version_of(store, candidate)]
    if not (found := current or there):
        log(f"{promotion.name}: no champion: the promoted checkpoint {promotion.sha256[:12]} is not on this machine")
        if versions_of(store, promotion.name):  # no other may stand in for it
            store.client.delete_registered_model_alias(promotion.name, CHAMPION)
        return
    _point(store, found[0], CHAMPION)


def _let_first_be_champion(store: Store, version: ModelVersion) -> None:
    """The first version there is; and one with the weights of the champion, where that holds older serving code."""
    aliases = store.client.get_registered_model(version.name).aliases
    champion = {str(v.version): v for v in versions_of(store, version.name)}.get(str(aliases.get(CHAMPION)))
    if champion is None or champion.tags["checkpoint_sha256"] == version.tags["checkpoint_sha256"]:
        _point(store, version, CHAMPION)


def _point(store: Store, version: ModelVersion, alias: str) -> None:
    if str(store.client.get_registered_model(version.name).aliases.get(alias)) != str(version.version):
        store.client.set_registered_model_alias(version.name, alias, version.version)


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


def _version_of(store: Store, candidate: Candidate) -> ModelVersion:
    """The version that holds a candidate's checkpoint with today's serving code; made when there is none."""
    client, key, tags = store.client, candidate.name, {**candidate.tags, "serving": SERVING_FORMAT}
    run_id = run_of(store, candidate.training)
    known = ("checkpoint_sha256", "config_hash", "serving")
    there = versions_of(store, key)
    same = [v for v in there if all(v.tags.get(name) == tags[name] for name in known)]
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
        version = client.get_model_version(key, version.version)
    calibrations.restore(store, version, there)
    _log_model_metrics(store, run_id, model_id_of(version), candidate)
    return version


def _log_model(store: Store, run_id: str, candidate: Candidate) -> str:
    """Log the serving code and the checkpoint as a LoggedModel of the train run; returns its id.

    Not within an active run: MLflow would copy the run's losses to the model and end the run a second time.
    """
    client, training = store.client, candidate.training
    model = client.create_logged_model(
        store.comparison,
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
        name, hashed = cell["dataset"], cell["dataset_hash"][: runs.DIGEST_CHARS]
        extra = {"model_id": model_id, "dataset_name": name, "dataset_digest": hashed, "run_id": run_id}
        metrics = [Metric(metric, value, now + offset, 0, **extra) for metric, value in measured(cell).items()]
        store.client.log_batch(run_id, metrics=metrics)
    last = now + len(candidate.cells)
    means = target_means(candidate.cells)
    metrics = [Metric(name, value, last, 0, model_id=model_id, run_id=run_id) for name, value in means.items()]
    store.client.log_batch(run_id, metrics=metrics)
    store.client.set_logged_model_tags(model_id, {**candidate.tags, "zsad.cells": digest})
