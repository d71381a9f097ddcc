"""The data file of published figures: every cell has a source, and names that exist here."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from zsad.common.errors import UserError
from zsad.datasets.catalogue import catalogue
from zsad.evaluation.metrics.names import IMAGE_METRICS, METRICS
from zsad.evaluation.published.figures import FIGURES, figures
from zsad.learners.lookup import methods

RAW = yaml.safe_load(FIGURES.read_text(encoding="utf-8"))
KEYS = ("method", "shots", "dataset", "metric", "trained_on")


def test_every_figure_has_a_source_and_is_a_metric_value() -> None:
    assert len(figures()) > 300
    for figure in figures():
        assert all((figure.source.label, figure.source.title, figure.source.where, figure.source.version))
        assert 0 <= figure.value <= 1
        assert figure.value > 0.01  # printed in percent
        assert figure.metric in METRICS


def test_methods_and_datasets_exist() -> None:
    known = set(methods()) | set(RAW["others"])
    assert {figure.method for figure in figures()} <= known
    assert not set(RAW["others"]) & set(methods())
    assert {figure.dataset for figure in figures()} <= set(catalogue())
    sets = {figure.trained_on for figure in figures()} - {None, "not stated"}
    assert sets <= set(catalogue())


def test_no_source_and_no_measure_stands_there_unused() -> None:
    assert {table["source"] for table in RAW["tables"]} == set(RAW["sources"])
    assert {figure.measure for figure in figures()} == set(RAW["measures"])


def test_only_what_a_set_can_measure_has_figures() -> None:
    for figure in figures():
        labels = catalogue()[figure.dataset].labels
        assert labels.image if figure.metric in IMAGE_METRICS else labels.pixel, figure


def test_nobody_is_tested_on_what_it_was_trained_on() -> None:
    assert not [figure for figure in figures() if figure.trained_on == figure.dataset]


def test_one_source_gives_one_figure() -> None:
    count = Counter((*(getattr(f, key) for key in KEYS), f.source.label) for f in figures())
    assert [key for key, times in count.items() if times > 1] == []


def test_own_figures_are_of_the_methods_own_papers() -> None:
    own = {(figure.method, figure.source.label.split()[0]) for figure in figures() if figure.quoted == "own"}
    assert own == {("adapt_clip", "AdaptCLIP"), ("cops", "CoPS"), ("anomalyclip", "AnomalyCLIP")}


def test_apt_has_none_because_its_tables_could_not_be_read() -> None:
    assert "apt" not in {figure.method for figure in figures()}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("source", "hearsay", "tables of unknown sources: hearsay"),
        ("quoted", "mine", "tables.0.quoted"),
        ("metrics", {"auroc": "image"}, "tables.0.metrics.auroc"),
        ("figures", {"mvtec": [1.0]}, "mvtec: 1 values for 4 metrics"),
        ("figures", {"mvtec": [950.0, 97.8, 93.4, 41.9]}, "less than or equal to 100"),
    ],
)
def test_a_fault_in_the_file_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = tmp_path / "figures.yaml"
    path.write_text(yaml.safe_dump({**RAW, "tables": [{**RAW["tables"][0], key: value}]}))
    with pytest.raises(UserError, match=message):
        figures(path)
