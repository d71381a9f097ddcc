"""The MLflow store, open for one writer at a time: its two experiments, and one error for all that may go wrong.

A store that does not answer costs at most 10 s of time-outs.
"""

import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from zsad.common.errors import UserError
from zsad.common.io import atomic_path
from zsad.tracking.history import cut
from zsad.tracking.store import make_once, one_writer, probe, sqlite_path, store_uri, without_password

# Set before MLflow is imported. One try of 8 s: a store that fails now is caught up with by a later sync.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

COMPARISON, TRAINING = "zsad", "zsad-training"
STORE_ERRORS = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ModuleNotFoundError)  # last: SQL drivers


class StoreError(UserError):
    """The MLflow store cannot be reached, is locked, or refuses what it is sent."""


@dataclass(frozen=True)
class Store:
    """An MLflow store, open. Its experiments are looked up, and made where missing, when they are first asked for."""

    client: MlflowClient
    uri: str

    @cached_property
    def comparison(self) -> str:
        """Id of the experiment of results and models."""
        return _experiment(self.client, sqlite_path(self.uri), COMPARISON)

    @cached_property
    def training(self) -> str:
        """Id of the experiment of losses by epoch."""
        return _experiment(self.client, sqlite_path(self.uri), TRAINING)


def ensure_store() -> str:
    """URI of the store; a missing SQLite store is made, by one process while others wait. Raises store errors."""
    uri = store_uri()
    path = sqlite_path(uri)
    if path is not None:
        make_once(path, _make_sqlite)
    probe(uri)
    return uri


@contextlib.contextmanager
def open_store() -> Iterator[Store]:
    """The store, for one writer at a time; whatever goes wrong with it becomes StoreError with the reason."""
    uri = store_uri()
    with _quiet():
        try:
            ensure_store()
            path = sqlite_path(uri)
            client = MlflowClient(tracking_uri=uri)  # slow the first time: not under the lock
            with one_writer(path), _as_default(uri):
                yield Store(client, uri)
        except STORE_ERRORS as error:
            remedy = "nothing is lost: `zsad track sync` catches up once it answers"
            raise StoreError(f"MLflow store {without_password(uri)}: {_reason(error)}; {remedy}") from error


def _experiment(client: MlflowClient, sqlite: Path | None, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    # Beside the SQLite file, by absolute path: `mlflow ui` then shows them whatever its working directory is.
    location = (sqlite.parent / "mlartifacts").as_uri() if sqlite else None
    return str(client.create_experiment(name, artifact_location=location))


def _make_sqlite(path: Path) -> None:
    """Migrate a store under another name and rename it: a kill leaves no half-migrated one behind."""
    with atomic_path(path) as temporary:
        temporary.with_name(f"{temporary.name}-journal").unlink(missing_ok=True)  # of a killed migration
        for name in (COMPARISON, TRAINING):
            _experiment(MlflowClient(tracking_uri=f"sqlite:///{temporary}"), path, name)


@contextlib.contextmanager
def _as_default(uri: str) -> Iterator[None]:
    """Parts of MLflow know only the process-wide store: point it at ours, and put back what was there."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence MLflow's and Alembic's own logs: what matters is raised and reported once, by us."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if "out-of-date database schema" in text:
        return "made by another MLflow version; delete the file, run `zsad track sync`, then `zsad register`"
    if cause := re.search(r"Max retries exceeded.*Caused by (\w+)", text, re.DOTALL):
        return f"does not answer ({cause.group(1)})"
    return cut(" ".join(text.split()), 300)
