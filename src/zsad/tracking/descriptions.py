"""What the registry says of a version beside its tags: its card, and what differs from the champion."""

from collections.abc import Iterable, Mapping

from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion

from zsad.config.params import Params
from zsad.tracking.candidates import Candidate
from zsad.tracking.cards import changes, model_card, version_card
from zsad.tracking.comparison import run_of_configuration
from zsad.tracking.connection import Store, open_store
from zsad.tracking.versions import CHALLENGER, CHAMPION, by_alias, by_number, model_id_of


def describe(params: Params, candidates: Iterable[Candidate]) -> None:
    """Describe challengers and their models, once aliases are where they belong; the same is not written again."""
    for candidate in candidates:
        with open_store() as store:
            _describe(store, params, candidate)


def _describe(store: Store, params: Params, candidate: Candidate) -> None:
    client, name = store.client, candidate.name
    registered, version = client.get_registered_model(name), by_alias(store, name, CHALLENGER)
    if registered.description != (text := model_card(candidate)):
        client.update_registered_model(name, text)
    card = version_card(params, candidate, _changes(store, version, registered.aliases.get(CHAMPION)))
    if version.description != card:
        client.update_model_version(name, version.version, card)
    _link(store, candidate, model_id_of(version))


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


def _link(store: Store, candidate: Candidate, model_id: str) -> None:
    """Show the model in the row of its configuration. As an output: MLflow's pages list runs by what they put out."""
    run_id = run_of_configuration(store, candidate.training.start["learner"])
    if run_id is None:
        return
    outputs = store.client.get_run(run_id).outputs
    if outputs is None or model_id not in {model.model_id for model in outputs.model_outputs}:
        store.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
