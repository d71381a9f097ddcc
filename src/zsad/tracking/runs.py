"""MLflow runs, one per train cell, replayed from the training journals.

MLflow observes and decides nothing: the store can be deleted at any time and `zsad track sync` makes the runs again
from `data/journal`, `data/checkpoints` and `metrics/cells`. A store that does not answer costs at most 10 s of
time-outs.
"""

import contextlib
import logging
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import atomic_path, canonical_json, content_hash
from zsad.config.params import Params
from zsad.tracking.history import (
    Training,
    current_trainings,
    cut,
    flatten,
    measured,
    read_cells,
    read_trainings,
    target_means,
)
from zsad.tracking.journal import JOURNAL_DIR, now_ms
from zsad.tracking.store import make_once, one_writer, probe, sqlite_path, store_uri, without_password

# Set before MLflow is imported. One try of 8 s: a store that fails now is caught up with by a later sync.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

EXPERIMENT = "zsad"
DIGEST_CHARS = 36
STORE_ERRORS = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ModuleNotFoundError)  # last: SQL drivers


class StoreError(UserError):
    """The MLflow store cannot be reached, is locked, or refuses what it is sent."""


@dataclass(frozen=True)
class Store:
    """An MLflow store that has just answered."""

    client: MlflowClient
    experiment_id: str
    uri: str


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
                yield Store(client, _experiment(client, path), uri)
        except STORE_ERRORS as error:
            remedy = "nothing is lost: `zsad track sync` catches up once it answers"
            raise StoreError(f"MLflow store {without_password(uri)}: {_reason(error)}; {remedy}") from error


def send(journal: Path) -> bool:
    """Replay one journal into MLflow. On trouble: one line on stderr and False, for training must not depend on it."""
    try:
        for training in read_trainings(journal):
            with open_store() as store:
                replay(store, training)
    except UserError as error:
        print(f"warning: not sent to MLflow: {' '.join(str(error).split())}", file=sys.stderr)
        return False
    return True


def sync(params: Params) -> dict[str, int]:
    """Make MLflow tell what the files tell: journals, checkpoints without a journal, metrics of current checkpoints.

    Returns counts: `runs` in all, `changed` of them, `rebuilt` from a checkpoint alone. Raises StoreError.
    """
    known = [training for path in sorted(JOURNAL_DIR.glob("*/*.jsonl")) for training in read_trainings(path)]
    contents = {training.content for training in known}
    current = list(current_trainings(params))
    rebuilt = [training for training in current if training.content not in contents]
    cells = [read_cells(params, training) for training in current]
    changed = set()
    for training in known + rebuilt:
        with open_store() as store:
            if replay(store, training):
                changed.add(training.identity)
    for training, results in zip(current, cells, strict=True):
        with open_store() as store:
            if log_cells(store, run_of(store, training), results):
                changed.add(training.identity)
    return {"runs": len(known) + len(rebuilt), "changed": len(changed), "rebuilt": len(rebuilt)}


def replay(store: Store, training: Training) -> bool:
    """Make or complete the run of one training; False when the run already tells everything."""
    client, run, tags = store.client, _find_run(store, training), _tags(training)
    if run is None:
        run = client.create_run(store.experiment_id, training.started, tags, run_name=training.cell)
    elif _told(training, run):
        return False
    elif "zsad.rebuilt" in run.data.tags:
        client.delete_tag(run.info.run_id, "zsad.rebuilt")
    run_id = run.info.run_id
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
    wanted = flatten(training.start["params"])
    missing = [Param(name, value) for name, value in wanted.items() if name not in run.data.params]
    for part in _chunks(missing, 100):
        client.log_batch(run_id, params=part)
    for part in _chunks(_new_metrics(client, run, training), 1000):
        client.log_batch(run_id, metrics=part)
    if not run.inputs or not run.inputs.dataset_inputs:
        client.log_inputs(run_id, [_source_input(training)])
    if training.end is not None:
        client.set_terminated(run_id, "FINISHED", training.end["time"])
    client.set_tag(run_id, "zsad.journal", training.digest)  # last: a replay that was cut short is done again
    return True


def run_of(store: Store, training: Training) -> str:
    """Id of the run that `replay` made of this training."""
    run = _find_run(store, training)
    if run is None:
        raise StoreError(f"MLflow: the run {training.cell} is gone; run `zsad track sync` again")
    return str(run.info.run_id)


def log_cells(store: Store, run_id: str, cells: list[dict[str, Any]]) -> bool:
    """Log `<dataset>/<metric>` and each metric's mean over the targets on a run; False when they are there already."""
    digest = content_hash(cells)
    if not cells or store.client.get_run(run_id).data.tags.get("zsad.cells") == digest:
        return False
    values = {f"{cell['dataset']}/{name}": value for cell in cells for name, value in measured(cell).items()}
    now = now_ms()
    metrics = [Metric(name, value, now, 0) for name, value in {**values, **target_means(cells)}.items()]
    tags = [RunTag("zsad.cells", digest), RunTag("zsad.targets", " ".join(cell["dataset"] for cell in cells))]
    for part in _chunks(metrics, 1000):
        store.client.log_batch(run_id, metrics=part)
    store.client.log_batch(run_id, tags=tags)
    return True


def _find_run(store: Store, training: Training) -> Run | None:
    """The run of a training: of the same result, else of the same start (sent earlier, before it had ended)."""
    where = f"tags.`zsad.cell` = '{training.cell}' and tags.`zsad.config_hash` = '{training.start['config_hash']}'"
    for name, value in (("content", training.content), ("started", str(training.started))):
        if value:
            found = store.client.search_runs(
                [store.experiment_id], f"{where} and tags.`zsad.{name}` = '{value}'", max_results=1
            )
            if found:
                return found[0]
    return None


def _told(training: Training, run: Run) -> bool:
    """Whether the run tells all of a training already; a checkpoint alone has nothing to add to a journal."""
    told = run.data.tags.get("zsad.journal")
    return told == training.digest or (told is not None and "zsad.rebuilt" in training.start["tags"])


def _tags(training: Training) -> dict[str, str]:
    start = training.start
    tags = {name: str(value) for name, value in start.get("tags", {}).items()}
    tags |= {f"zsad.{name}": start[name] for name in ("learner", "source", "method", "protocol", "config_hash")}
    tags |= {"zsad.cell": training.cell, "zsad.started": str(training.started), "zsad.content": training.content}
    tags |= {f"zsad.checkpoint.seed_{seed}": digest for seed, digest in training.checkpoints.items()}
    tags["mlflow.source.name"] = f"zsad train {start['learner']} {start['source']}"
    if commit := tags.get("git.commit"):
        tags["mlflow.source.git.commit"] = commit
    return {name: value for name, value in tags.items() if value}


def _new_metrics(client: MlflowClient, run: Run, training: Training) -> list[Metric]:
    """Those that the run does not have yet, by name and step: what was sent before a kill is not sent again."""
    old = run.data.metrics
    had = {(name, point.step) for name in old for point in client.get_metric_history(run.info.run_id, name)}
    return [Metric(*point) for point in training.points() if (point.name, point.step) not in had]


def _source_input(training: Training) -> DatasetInput:
    """The auxiliary set as a dataset input; its digest is its manifest's hash."""
    dataset = training.start["dataset"]
    profile = canonical_json({"n_images": dataset["n_images"]}) if dataset.get("n_images") else None
    source = canonical_json({"uri": f"data/manifests/{dataset['name']}/manifest.csv"})
    entity = Dataset(dataset["name"], dataset["hash"][:DIGEST_CHARS], "local", source, profile=profile)
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def _experiment(client: MlflowClient, sqlite: Path | None) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        return str(experiment.experiment_id)
    # Beside the SQLite file, by absolute path: `mlflow ui` then shows them whatever its working directory is.
    location = (sqlite.parent / "mlartifacts").as_uri() if sqlite else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _make_sqlite(path: Path) -> None:
    """Migrate a store under another name and rename it: a kill leaves no half-migrated one behind."""
    with atomic_path(path) as temporary:
        temporary.with_name(f"{temporary.name}-journal").unlink(missing_ok=True)  # of a killed migration
        _experiment(MlflowClient(tracking_uri=f"sqlite:///{temporary}"), path)


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


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
