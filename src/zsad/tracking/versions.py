"""The model registry as it is: models by name, versions, aliases."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities.model_registry import ModelVersion

from zsad.common.errors import UserError
from zsad.config.params import PARAMS_FILE, load_params
from zsad.tracking.connection import Store, open_store

CHAMPION, CHALLENGER = "champion", "challenger"


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
        return [_described(store, version) for name in _names(store) for version in versions_of(store, name)]


def model_id_of(version: ModelVersion) -> str:
    """The LoggedModel behind a version; SQL stores keep it in `source` only."""
    return str(version.source).removeprefix("models:/")


def versions_of(store: Store, key: str) -> list[ModelVersion]:
    """Versions of a model that zsad registered, newest first."""
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


def by_alias(store: Store, key: str, alias: str) -> ModelVersion:
    """The version an alias points to; UserError with the aliases there are."""
    _require_model(store, key)
    aliases = store.client.get_registered_model(key).aliases
    if alias not in aliases:
        raise UserError(f"models:/{key}@{alias}: no such alias; {key} has: {', '.join(sorted(aliases)) or 'none'}")
    return by_number(store, key, str(aliases[alias]))


def by_number(store: Store, key: str, number: str) -> ModelVersion:
    """The version of that number; UserError with the numbers there are."""
    _require_model(store, key)
    found = {str(version.version): version for version in store.client.search_model_versions(f"name='{key}'")}
    if number not in found:
        raise UserError(f"models:/{key}/{number}: no such version; {key} has: {', '.join(sorted(found, key=int))}")
    return found[number]


def _names(store: Store) -> list[str]:
    """All registered models, sorted; MLflow gives them a page at a time."""
    names: list[str] = []
    token = None
    while True:
        page = store.client.search_registered_models(page_token=token)
        names += [model.name for model in page]
        if not (token := page.token):
            return sorted(names)


def _require_model(store: Store, key: str) -> None:
    names = _names(store)
    if key not in names:
        if PARAMS_FILE.is_file() and key in (params := load_params()).ensembles:
            params.configuration(key)  # says that it has no model
        there = ", ".join(names) or "none yet: `dvc repro register` makes them"
        raise UserError(f"models:/{key}: no such registered model; there are: {there}")
