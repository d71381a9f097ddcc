"""Models by name: what the registry holds, which checkpoint a URI means, and which version is `champion`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from zsad.common.errors import UserError
from zsad.common.io import file_sha256, read_json
from zsad.evaluation.results import cell_path
from zsad.tracking.promotions import record_promotion
from zsad.tracking.runs import Store, open_store
from zsad.training.record import CHECKPOINTS

CHAMPION, CHALLENGER = "champion", "challenger"
SEED_TAG = "zsad.checkpoint.seed_"  # of a run: sha256 of the checkpoint of each seed


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the registry. mean: of each metric over the target datasets it was scored on, as registered."""

    name: str
    version: int
    aliases: tuple[str, ...]
    protocol: str
    source: str
    config_hash: str
    mean: Mapping[str, float] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        """A line of `zsad models`."""
        told = {name: getattr(self, name) for name in ("protocol", "source", "config_hash")}
        return {"name": self.name, "version": self.version, "aliases": " ".join(self.aliases), **told, **self.mean}


def list_models() -> list[RegisteredModel]:
    """Every version of every model of ours, by name and newest first. UserError when MLflow does not answer."""
    with open_store() as store:
        models = store.client.search_registered_models()
        return [_described(store, version) for model in models for version in versions_of(store, model.name)]


def promote(name: str) -> str:
    """Move alias `champion` to where `challenger` points; returns what was done.

    Refused when the results on disk are not the challenger's: what the gate has let pass would be something else.
    """
    with open_store() as store:
        new = _by_alias(store, name, CHALLENGER)
        results = cell_path(new.tags.get("learner", name), "any").parent
        own = new.tags["source"] if new.tags.get("shots", "0") != "0" else "*"  # what is adapted serves one dataset
        if new.tags["config_hash"] not in {read_json(cell)["config_hash"] for cell in results.glob(f"{own}.json")}:
            raise UserError(f"{name}: {results} does not hold the challenger's results; run `dvc repro`")
        old = store.client.get_registered_model(name).aliases.get(CHAMPION)
        if moved := str(old) != str(new.version):
            store.client.set_registered_model_alias(name, CHAMPION, new.version)
    record_promotion(name, new.tags, resolve(f"models:/{name}/{new.version}"))
    if not moved:
        return f"{name}: version {old} is champion already"
    return f"{name}: champion is now version {new.version}" + (f" (was {old})" if old else "")


def resolve(uri: str) -> Path:
    """Checkpoint file of `models:/KEY@alias` or `models:/KEY/VERSION`; the registry's copy when none lies on disk."""
    parts = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))", uri)
    if parts is None:
        raise UserError(f"{uri}: write models:/KEY@champion, models:/KEY@challenger or models:/KEY/VERSION")
    key, alias, number = parts.groups()
    with open_store() as store:
        version = _by_alias(store, key, alias) if alias else _by_number(store, key, number)
        if "checkpoint_sha256" not in version.tags:
            raise UserError(f"{uri}: not registered by zsad; `zsad models` lists what is")
        return _checkpoint(store, version, uri)


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


def model_id_of(version: ModelVersion) -> str:
    """The LoggedModel behind a version; SQL stores keep it in `source` only."""
    return str(version.source).removeprefix("models:/")


def versions_of(store: Store, key: str) -> list[ModelVersion]:
    found = [v for v in store.client.search_model_versions(f"name='{key}'") if "checkpoint_sha256" in v.tags]
    return sorted(found, key=lambda version: -int(version.version))


def _described(store: Store, version: ModelVersion) -> RegisteredModel:
    aliases, tags = store.client.get_registered_model(version.name).aliases, version.tags
    return RegisteredModel(
        name=version.name,
        version=int(version.version),
        aliases=tuple(sorted(name for name, number in aliases.items() if str(number) == str(version.version))),
        **{name: tags.get(name, "") for name in ("protocol", "source", "config_hash")},
        mean={name.removeprefix("mean."): float(tags[name]) for name in sorted(tags) if name.startswith("mean.")},
    )


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
