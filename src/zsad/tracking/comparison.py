"""The experiment `zsad`: a run a configuration, to be compared, below one parent for the present state of all results.

A run is its results: the same cells are the same run, wherever else something changed, and other cells are another one.
So the runs below the parent of a state are what was current then, minus what is current still.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag

from zsad.common.io import canonical_json, content_hash
from zsad.common.progress import log
from zsad.config.ensemble import Ensemble, members_of
from zsad.config.params import Params
from zsad.evaluation.results import CELLS
from zsad.tracking.cards import headline, results_note, run_note
from zsad.tracking.connection import Store, StoreError, open_store
from zsad.tracking.history import current_trainings, flatten, journalled
from zsad.tracking.journal import lineage, now_ms
from zsad.tracking.pictures import drawable, write_sheet
from zsad.tracking.runs import DIGEST_CHARS, run_of
from zsad.tracking.standings import Standing, read_standings, state_of
from zsad.tracking.tables import table_of_all, tables_of, write_tables
from zsad.tracking.views import PREFIX, address, run_address, view_of, view_tags

NOTE = "mlflow.note.content"  # what MLflow calls a description
PARENT = "mlflow.parentRunId"
LEADERBOARD = ("leaderboard.md", "leaderboard.csv", "summary.json")
REPORT = Path("report.html")  # where `zsad report` writes it
STATE_CHARS = 12
KIND = {"mlflow.experimentKind": "custom_model_development"}


def compare(params: Params) -> dict[str, int]:
    """Make the comparison tell what result files tell; returns counts: `configurations`, and those `told` anew.

    Raises StoreError. What is there already is not written again.
    """
    standings = _standings(params)
    if not standings:
        return {"configurations": 0, "told": 0}
    state = state_of(standings)[:STATE_CHARS]
    with open_store() as store:
        parent = _parent(store, params, standings, state)
        log_report(store, parent)
    told = sum(_tell(standing, parent, state) for standing in standings)
    with open_store() as store:
        _retire_others(store, state)
        _describe(store, params, standings)
    return {"configurations": len(standings), "told": told}


def attach_report(params: Params, report: Path) -> None:
    """Attach a report to the run of the present results, if they have one. A store that fails costs a log line.

    `compare`, which makes that run, looks for a report itself: whichever comes last finds the other.
    """
    state = state_of(_standings(params))[:STATE_CHARS]
    try:
        with open_store() as store:
            for run in _runs_of_all(store, state):
                log_report(store, str(run.info.run_id), report)
    except StoreError as error:
        log(f"the report is not attached: {error}")


def log_report(store: Store, run_id: str, report: Path = REPORT) -> bool:
    """Attach the report to the run of all results, if one was written; False when there is none or it is there."""
    if not report.is_file():
        return False
    digest = content_hash(report.read_text(encoding="utf-8"))
    if store.client.get_run(run_id).data.tags.get("zsad.report") == digest:
        return False
    store.client.log_artifact(run_id, str(report))
    store.client.set_tag(run_id, "zsad.report", digest)
    return True


def runs_of_configurations(store: Store) -> dict[str, Run]:
    """The current run of each configuration, by its results' digest."""
    found = _search(store, "tags.current = 'yes' and tags.`zsad.kind` = 'configuration'")
    return {run.data.tags["zsad.results"]: run for run in found}


def _parent(store: Store, params: Params, standings: Sequence[Standing], state: str) -> str:
    """The run of all results together: the tables, who leads, and which code and data it was."""
    found = _runs_of_all(store, state)
    if found and "zsad.told" in found[0].data.tags:
        return str(found[0].info.run_id)
    tags = {"zsad.kind": "results", "state": state, NOTE: results_note(params, standings), **lineage()}
    run = found[0] if found else store.client.create_run(store.comparison, tags=tags, run_name=f"results {state[:7]}")
    with TemporaryDirectory() as name:
        tables = write_tables(table_of_all(standings), Path(name))
        store.client.log_artifacts(run.info.run_id, name)
    for file in (CELLS.parent / name for name in LEADERBOARD):
        if file.is_file():
            store.client.log_artifact(run.info.run_id, str(file))
    store.client.set_terminated(run.info.run_id, "FINISHED", now_ms())
    _set_tags(store, run, {"mlflow.loggedArtifacts": _as_tables(tables), "zsad.told": state})
    return str(run.info.run_id)


def _tell(standing: Standing, parent: str, state: str) -> bool:
    """Make or complete the run of one configuration; False when it told everything already."""
    pictured = [cell for cell in standing.cells if drawable(cell)]
    place = {PARENT: parent, "state": state, "current": "yes"}
    told = content_hash([standing.digest, [cell["prediction_hash"] for cell in pictured]])
    with open_store() as store:
        found = _search(store, f"tags.`zsad.results` = '{standing.digest}'")
        if found and found[0].data.tags.get("zsad.told") == told:
            _set_tags(store, found[0], place)
            return False
    with TemporaryDirectory() as name:
        tables = write_tables(tables_of(standing), Path(name))
        for cell in pictured:
            write_sheet(cell, Path(name))
        with open_store() as store:
            links = {t.cell: run_address(store.training, run_of(store, t)) for t in standing.trainings}
            tags = {**_tags(standing), **place, NOTE: run_note(standing, links)}
            run = found[0] if found else _create(store, standing, tags)
            _fill(store, run, standing)
            store.client.log_artifacts(run.info.run_id, name)
            store.client.set_terminated(run.info.run_id, "FINISHED", _ended(standing))
            extra = {"mlflow.loggedImages": "True"} if pictured else {}
            _set_tags(store, run, {**tags, **extra, "mlflow.loggedArtifacts": _as_tables(tables), "zsad.told": told})
    return True


def _create(store: Store, standing: Standing, tags: Mapping[str, str]) -> Run:
    """Begun when its first training was, so that durations are those of training."""
    started = min((training.started for training in standing.trainings), default=now_ms())
    return store.client.create_run(store.comparison, started, dict(tags), run_name=standing.key)


def _ended(standing: Standing) -> int:
    return max((training.end["time"] for training in standing.trainings if training.end), default=now_ms())


def _fill(store: Store, run: Run, standing: Standing) -> None:
    """Settings, metrics and target datasets that the run does not have yet."""
    known, now = run.data, now_ms()
    settings = flatten(_settings(standing))
    params = [Param(name, value) for name, value in settings.items() if name not in known.params][:100]
    metrics = [Metric(k, v, now, 0) for k, v in standing.metrics.items() if known.metrics.get(k) != v]
    for start in range(0, len(metrics), 800):
        store.client.log_batch(run.info.run_id, metrics=metrics[start : start + 800])
    store.client.log_batch(run.info.run_id, params=params)
    if not run.inputs or not run.inputs.dataset_inputs:
        store.client.log_inputs(
            run.info.run_id, [_target(cell["dataset"], cell["dataset_hash"]) for cell in standing.cells]
        )


def _settings(standing: Standing) -> dict[str, Any]:
    """What was trained with which settings, or is the mean of what."""
    if isinstance(standing.row, Ensemble):
        return {"of": [member.key for member in standing.row.members], "weights": list(standing.row.weights)}
    return standing.trainings[0].start["params"] if standing.trainings else {}


def _target(name: str, digest: str) -> DatasetInput:
    source = canonical_json({"uri": f"data/manifests/{name}/manifest.csv"})
    return DatasetInput(
        Dataset(name, digest[:DIGEST_CHARS], "local", source), [InputTag("mlflow.data.context", "evaluation")]
    )


def _tags(standing: Standing) -> dict[str, str]:
    """What to group and filter by. The run type lets MLflow's page unfold the parent when it is first seen."""
    one = standing.row
    told = {
        "configuration": standing.key,
        "method": one.method,
        "protocol": one.protocol,
        "track": standing.track,
        "source": " ".join(sorted({cell["source"] for cell in standing.cells if cell["source"]})) or "none",
        "domain": " ".join(standing.domains),
        "targets": " ".join(cell["dataset"] for cell in standing.cells),
        "backbone": " ".join(sorted({member.backbone.name for member in members_of(one)})),
    }
    hidden = {"zsad.kind": "configuration", "zsad.results": standing.digest, "mlflow.runType": "evaluation"}
    return {**told, **hidden, "mlflow.source.name": "zsad score"}


def _retire_others(store: Store, state: str) -> None:
    for run in _search(store, f"tags.current = 'yes' and tags.state != '{state}'"):
        store.client.set_tag(run.info.run_id, "current", "no")


def _describe(store: Store, params: Params, standings: Sequence[Standing]) -> None:
    """Descriptions and views of the experiments; views of domains that are gone are taken away."""
    here = store.client.get_experiment(store.comparison)
    views = view_tags(standings, here.creation_time)
    groups = ["all", *(f"domain/{domain}" for standing in standings for domain in standing.domains)]
    links = {group: address(store.comparison, view_of(group)) for group in groups}
    charts = address(store.comparison, view_of("all"), charts=True)
    head = f"{headline(standings, links)} · [charts]({charts})"  # the page shows this line, the rest is folded
    wanted = {**views, NOTE: f"{head}\n\n{results_note(params, standings)}", **KIND}
    for name in [tag for tag in here.tags if tag.startswith(f"{PREFIX}domain_") and tag not in views]:
        store.client.delete_experiment_tag(store.comparison, name)
    _set_experiment_tags(store, store.comparison, wanted)
    _set_experiment_tags(store, store.training, {NOTE: "Losses by epoch, a run a train or adapt cell.", **KIND})


def _set_experiment_tags(store: Store, experiment: str, wanted: Mapping[str, str]) -> None:
    there = store.client.get_experiment(experiment).tags
    for name, value in wanted.items():
        if there.get(name) != value:
            store.client.set_experiment_tag(experiment, name, value)


def _set_tags(store: Store, run: Run, tags: Mapping[str, str]) -> None:
    """Those that differ, in one request."""
    changed = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
    if changed:
        store.client.log_batch(run.info.run_id, tags=changed)


def _as_tables(paths: Iterable[str]) -> str:
    """By this tag MLflow's pages show JSON files as tables."""
    return canonical_json([{"path": path, "type": "table"} for path in paths])


def _standings(params: Params) -> list[Standing]:
    """How every configuration stands by the files that are here."""
    return read_standings(params, journalled(current_trainings(params)))


def _runs_of_all(store: Store, state: str) -> list[Run]:
    """The run of all results of a state: one, or none yet."""
    return _search(store, f"tags.`zsad.kind` = 'results' and tags.state = '{state}'")


def _search(store: Store, where: str) -> list[Run]:
    return list(store.client.search_runs([store.comparison], where, max_results=1000))
