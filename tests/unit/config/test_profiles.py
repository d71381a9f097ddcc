"""Profiles: what is replaced whole, what is merged, that comments stay and nothing invalid is written."""

from pathlib import Path

import pytest

from tests.conftest import shipped
from tests.helpers import ROOT
from zsad.common.errors import UserError
from zsad.config.params import load_params
from zsad.config.profiles import apply_profile
from zsad.datasets.official import official_entry
from zsad.learners.lookup import check_settings


@pytest.fixture
def params(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(shipped("params.yaml"))
    return tmp_path / "params.yaml"


@pytest.mark.parametrize("profile", ["paper", "folder", "real"])
def test_shipped_profiles_apply_and_every_setting_is_known(params: Path, profile: str) -> None:
    apply_profile(ROOT / "profiles" / f"{profile}.yaml", [], params)
    check_settings(load_params(params))


def test_the_papers_constants_follow_the_source(params: Path) -> None:
    apply_profile(ROOT / "profiles/paper.yaml", [], params)
    loaded = load_params(params)
    cops = loaded.configuration("cops")
    assert loaded.backbone("default").image_size == 518
    assert cops.source_for(loaded, "mvtec") == "visa"
    assert cops.source_for(loaded, "visa") == "mvtec"
    assert cops.on("mvtec").settings["pool"] == 3
    assert cops.on("visa").settings["pool"] == 5


def test_the_papers_sets_are_published_ones_under_their_source_rule(params: Path) -> None:
    apply_profile(ROOT / "profiles/paper.yaml", [], params)
    datasets = load_params(params).datasets
    entries = {key: official_entry(key, block) for key, block in datasets.items()}
    assert {identifier for identifier, _ in entries.values()} == set(datasets)
    assert {key: block.source for key, block in datasets.items()} == {key: e.source for key, (_, e) in entries.items()}


def test_what_runs_is_replaced_whole_the_rest_merged_and_comments_stay(params: Path) -> None:
    apply_profile(
        ROOT / "profiles/folder.yaml", ["datasets.my_parts.path=/data/parts", "metrics.resolution=256"], params
    )
    loaded = load_params(params)
    assert set(loaded.datasets) == {"my_source", "my_parts"}
    assert loaded.dataset("my_parts").path == "/data/parts"
    assert loaded.metrics.resolution == 256
    assert loaded.metrics.aupro_fpr_limit == 0.3
    text = params.read_text()
    assert "# every learner is trained once per seed" in text
    assert "# AUPRO integrates up to this false-positive rate" in text


def test_a_whole_map_can_be_given_on_the_command_line(params: Path) -> None:
    apply_profile(ROOT / "profiles/folder.yaml", ["sources={a: {}}", "datasets={a: {path: x}, b: {path: y}}"], params)
    assert set(load_params(params).datasets) == {"a", "b"}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("datasets.my_parts.pth=x", "unknown parameter 'datasets.my_parts.pth'"),
        ("seeds", "expected KEY=VALUE"),
        ("seeds.first=1", "seeds is not a block of keys"),
    ],
)
def test_nothing_invalid_is_written(params: Path, assignment: str, message: str) -> None:
    before = params.read_text()
    with pytest.raises(UserError, match=message):
        apply_profile(ROOT / "profiles/folder.yaml", [assignment], params)
    assert params.read_text() == before
    assert list(params.parent.iterdir()) == [params]


def test_a_profile_that_is_not_there(params: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        apply_profile(Path("profiles/nothing.yaml"), [], params)
