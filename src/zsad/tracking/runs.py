"""A run for each train or adapt cell in the experiment `zsad-training`, replayed from the training journals.

MLflow observes and decides nothing: the store can be deleted at any time and `zsad track sync` makes the runs again
from `data/journal` and `data/checkpoints`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag

from zsad.common.errors import UserError
from zsad.common.io import canonical_json
from zsad.config.params import Params
from zsad.tracking.connection import Store, StoreError, open_store
from zsad.tracking.history import Training, current_trainings, flatten, read_trainings
from zsad.tracking.journal import JOURNAL_DIR

DIGEST_CHARS = 36


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
    """Make MLflow tell what the files tell of trainings: journals, and checkpoints without a journal.

    Returns counts: `runs` in all, `changed` of them, `rebuilt` from a checkpoint alone. Raises StoreError.
    """
    known = [training for path in sorted(JOURNAL_DIR.glob("*/*.jsonl")) for training in read_trainings(path)]
    contents = {training.content for training in known}
    rebuilt = [training for training in current_trainings(params) if training.content not in contents]
    changed = set()
    for training in known + rebuilt:
        with open_store() as store:
            if replay(store, training):
                changed.add(training.identity)
    return {"runs": len(known) + len(rebuilt), "changed": len(changed), "rebuilt": len(rebuilt)}


def replay(store: Store, training: Training) -> bool:
    """Make or complete the run of one training; False when the run already tells everything."""
    client, run, tags = store.client, _find_run(store, training), _tags(training)
    if run is None:
        run = client.create_run(store.training, training.started, tags, run_name=training.cell)
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


def _find_run(store: Store, training: Training) -> Run | None:
    """The run of a training: of the same result, else of the same start (sent earlier, before it had ended).

    Stores of earlier versions have it in the experiment of results.
    """
    where = f"tags.`zsad.cell` = '{training.cell}' and tags.`zsad.config_hash` = '{training.start['config_hash']}'"
    for name, value in (("content", training.content), ("started", str(training.started))):
        if value:
            wanted = f"{where} and tags.`zsad.{name}` = '{value}'"
            found = store.client.search_runs([store.training, store.comparison], wanted, max_results=1)
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


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
