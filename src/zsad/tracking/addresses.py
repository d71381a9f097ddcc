"""From a `models:/…` or `runs:/…` address to a checkpoint: the one on disk if it is still the same, else MLflow's."""

import os
import re
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.tracking.connection import Store, open_store
from zsad.tracking.versions import by_alias, by_number, model_id_of
from zsad.training.record import CHECKPOINTS

SEED_TAG = "zsad.checkpoint.seed_"  # of a run: sha256 of the checkpoint of each seed


def resolve(uri: str) -> Path:
    """Checkpoint file of `models:/KEY@alias` or `models:/KEY/VERSION`; the registry's copy when none lies on disk."""
    with open_store() as store:
        return _checkpoint(store, version_of(store, uri), uri)


def version_of(store: Store, uri: str) -> ModelVersion:
    """The version that `models:/…` means, registered by zsad."""
    parts = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))", uri)
    if parts is None:
        raise UserError(f"{uri}: write models:/KEY@champion, models:/KEY@challenger or models:/KEY/VERSION")
    key, alias, number = parts.groups()
    version = by_alias(store, key, alias) if alias else by_number(store, key, number)
    if "checkpoint_sha256" not in version.tags:
        raise UserError(f"{uri}: not registered by zsad; `zsad models` lists what is")
    return version


def resolve_run(uri: str) -> Path:
    """Checkpoint file of `runs:/RUN`, of its first seed, or `runs:/RUN/seed_N` of a train or adapt run."""
    parts = re.fullmatch(r"runs:/([^/]+)(?:/(?:checkpoints/)?seed_(\d+)(?:\.safetensors)?)?/?", uri)
    if parts is None:
        raise UserError(f"{uri}: write runs:/RUN_ID or runs:/RUN_ID/seed_0")
    run_id, seed = parts.groups()
    with open_store() as store:
        try:
            tags = store.client.get_run(run_id).data.tags
        except MlflowException as error:
            raise UserError(f"{uri}: no such run in {store.uri}; `mlflow ui` shows what there is") from error
        own = {name.removeprefix(SEED_TAG): sha256 for name, sha256 in tags.items() if name.startswith(SEED_TAG)}
        if not own:
            raise UserError(f"{uri}: a run without checkpoints of zsad; name a train or adapt run that has ended")
        seed = seed or min(own, key=int)
        if seed not in own:
            raise UserError(f"{uri}: no seed {seed} in this run; it has: {', '.join(sorted(own, key=int))}")
        name = f"seed_{seed}.safetensors"
        if local := _on_disk(Path(tags["zsad.cell"]) / name, own[seed]):
            return local
        if any(item.path == f"checkpoints/{name}" for item in store.client.list_artifacts(run_id, "checkpoints")):
            stored = Path(store.client.download_artifacts(run_id, f"checkpoints/{name}"))
            return _checked(stored, own[seed], uri)
        held = f"run_id='{run_id}'"  # a version holds it, and then the run does not
        for version in store.client.search_model_versions(held):
            if version.tags.get("checkpoint_sha256") == own[seed]:
                return _checkpoint(store, version, uri)
    raise UserError(f"{uri}: {name} is neither on disk nor in MLflow's artifacts; train it again: `dvc repro`")


def _checkpoint(store: Store, version: ModelVersion, uri: str) -> Path:
    tags = version.tags
    name = f"seed_{tags['seed']}.safetensors"
    if local := _on_disk(Path(tags.get("learner", version.name)) / tags["source"] / name, tags["checkpoint_sha256"]):
        return local
    folder = f"{store.client.get_logged_model(model_id_of(version)).artifact_location}/artifacts"
    held = Path(mlflow.artifacts.download_artifacts(folder, tracking_uri=store.uri))
    stored = next(iter(sorted(held.glob("*.safetensors"))), held / name)
    return _checked(stored, tags["checkpoint_sha256"], uri)


def _on_disk(place: Path, sha256: str) -> Path | None:
    """The checkpoint as training left it, if that is still the one."""
    path = CHECKPOINTS / place
    return path if path.is_file() and file_sha256(path) == sha256 else None


def _checked(stored: Path, sha256: str, uri: str) -> Path:
    if not stored.is_file() or file_sha256(stored) != sha256:
        raise UserError(f"{uri}: the checkpoint in MLflow's artifacts ({stored}) is not the one that was registered")
    return stored
