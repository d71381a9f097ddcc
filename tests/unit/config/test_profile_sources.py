"""Who is trained on what: the source of every configuration for every target, as shipped."""

from pathlib import Path

import pytest

from tests.conftest import shipped
from tests.helpers import ROOT
from zsad.config.params import Params, load_params
from zsad.config.profiles import apply_profile
from zsad.learners.lookup import build_config, learner_class, methods

ZERO_SHOT = [m for m in methods() if learner_class(m).trained and not learner_class(m).few_shot]


@pytest.fixture
def paper(tmp_path: Path) -> Params:
    """params.yaml with the papers' profile on it."""
    (tmp_path / "params.yaml").write_text(shipped("params.yaml"))
    apply_profile(ROOT / "profiles/paper.yaml", [], tmp_path / "params.yaml")
    return load_params(tmp_path / "params.yaml")


def test_the_demo_trains_on_its_one_source(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(shipped("params.yaml"))
    params = load_params(tmp_path / "params.yaml")
    sources = {
        params.configuration(key).source_for(params, name) for key in params.learners for name in params.datasets
    }
    assert sources == {"demo_source"}


def test_visa_for_all_but_visa_unless_a_configuration_says_mvtec(paper: Params) -> None:
    assert {"visa", "mvtec"} == set(paper.sources) < set(paper.datasets)
    for key in paper.learners:
        for dataset in paper.datasets:
            source = paper.configuration(key).source_for(paper, dataset)
            assert source == ("mvtec" if key.endswith("_mvtec") or dataset == "visa" else "visa"), (key, dataset)


def test_by_the_rule_no_target_is_a_source_of_its_own(paper: Params) -> None:
    assert all(entry.source not in (None, name) for name, entry in paper.datasets.items())


@pytest.mark.parametrize("method", ZERO_SHOT)
def test_each_method_can_be_compared_in_both_directions(paper: Params, method: str) -> None:
    """`<method>` trains on both sources, `<method>_mvtec` on one, with the same settings there."""
    by_rule, on_mvtec = paper.configuration(method), paper.configuration(f"{method}_mvtec")
    assert by_rule.method == on_mvtec.method == method
    assert by_rule.on("mvtec").settings == on_mvtec.on("mvtec").settings
    assert [by_rule.on(source).unused for source in ("visa", "mvtec")] == [None, None]
    assert on_mvtec.on("mvtec").unused is None
    assert on_mvtec.on("visa").unused == f"{method}_mvtec names mvtec as its source"


@pytest.mark.parametrize("key", ["cops", "cops_mvtec", "cops_paper"])
def test_constants_of_cops_follow_the_source(paper: Params, key: str) -> None:
    """Epochs, K, alpha, beta and reconstruction loss as the official code has them for a model of each source."""
    found = {}
    for source in paper.sources:
        config = build_config("cops", paper.configuration(key).on(source).settings, key)
        found[source] = (config.epochs, config.pool, config.alpha, config.beta, config.rec_loss)
    assert found == {"visa": (10, 5, 0.26, 0.9, "off"), "mvtec": (5, 3, 0.35, 1.0, "pairwise_mean")}
