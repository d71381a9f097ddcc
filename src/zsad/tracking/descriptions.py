"""What the registry says of a version beside its tags: its card, and what differs from the champion."""

from collections.abc import Mapping, Sequence

from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion

from zsad.config.params import Params
from zsad.tracking.calibrations import of_version
from zsad.tracking.candidates import Candidate
from zsad.tracking.cards import changes, model_card, version_card, with_calibrations
from zsad.tracking.comparison import runs_of_configurations
from zsad.tracking.connection import Store, open_store
from zsad.tracking.versions import CHAMPION, by_number, model_id_of


def describe(params: Params, registered: Sequence[tuple[Candidate, ModelVersion]]) -> None:
    """Describe challengers and their models, once aliases are where they belong; the same is not written again."""
    for candidate, version in registered:
        with open_store() as store:
            _describe(store, params, candidate, version)
    with open_store() as store:
        _show_models(store, registered)


def _describe(store: Store, params: Params, candidate: Candidate, version: ModelVersion) -> None:
    client, name = store.client, candidate.name
    model = client.get_registered_model(name)
    if model.description != (text := model_card(candidate)):
        client.update_registered_model(name, text)
    now = client.get_model_version(name, version.version)
    card = version_card(params, candidate, _changes(store, version, model.aliases.get(CHAMPION)))
    card = with_calibrations(card, of_version(now).values())
    if now.description != card:
        client.update_model_version(name, version.version, card)


def _changes(store: Store, version: ModelVersion, champion: str | None) -> str:
    """What the challenger has other than the champion; nothing where it is the champion, or there is none."""
    if champion is None or str(champion) == str(version.version):
        return ""
    before = store.client.get_logged_model(model_id_of(by_number(store, version.name, str(champion))))
    after = store.client.get_logged_model(model_id_of(version))
    names = sorted(before.params.keys() | after.params.keys())
    settings = {n: (before.params.get(n, ""), after.params.get(n, "")) for n in names}
    other = {n: pair for n, pair in settings.items() if pair[0] != pair[1]}
    return changes(str(champion), _by_dataset(before), _by_dataset(after), other)


def _by_dataset(model: LoggedModel) -> Mapping[tuple[str, str], float]:
    """{(metric, dataset): value}, of each the latest."""
    told = sorted(model.metrics or [], key=lambda metric: metric.timestamp)
    return {(metric.key, metric.dataset_name): metric.value for metric in told if metric.dataset_name}


def _show_models(store: Store, registered: Sequence[tuple[Candidate, ModelVersion]]) -> None:
    """Each model in the row of its configuration. As an output: MLflow's pages list runs by what they put out."""
    current = runs_of_configurations(store)
    for run in current.values():
        told = {model.model_id for model in store.client.get_run(run.info.run_id).outputs.model_outputs}
        own = [model_id_of(v) for c, v in registered if c.training.start["learner"] == run.data.tags["configuration"]]
        if missing := [LoggedModelOutput(model_id, step=0) for model_id in own if model_id not in told]:
            store.client.log_outputs(run.info.run_id, missing)
