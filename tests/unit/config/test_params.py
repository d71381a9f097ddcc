"""params.yaml: what is accepted, and what a wrong key or value is told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import shipped
from zsad.common.errors import UserError
from zsad.config.params import Params, load_params
from zsad.config.validation import validate
from zsad.learners.lookup import build_config


def raw() -> dict[str, Any]:
    return yaml.safe_load(shipped("params.yaml"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "shipped.yaml").write_text(shipped("params.yaml"))
    return tmp_path / "shipped.yaml"


def message(content: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        validate(Params, content, "params.yaml")
    return str(caught.value)


def test_the_shipped_file_is_valid(file: Path) -> None:
    params = load_params(file)
    assert params.configuration("apt_2shot").method == "apt"
    assert params.configuration("apt_2shot").shots == 2
    assert params.configuration("cops").source_for(params, "demo_texture") == "demo_source"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("metrics.resoluton", 3, "unknown parameter 'metrics.resoluton'; did you mean 'resolution'?"),
        ("datasets.demo_source.pth", "x", "unknown parameter 'datasets.demo_source.pth'; did you mean 'path'?"),
        ("sed", [0], "unknown parameter 'sed'"),
        ("backbones.default.image_size", "1e2", "backbones.default.image_size: Input should be a valid integer"),
        ("seeds", [], "seeds: List should have at least 1 item"),
        ("device", "gpu", "device: Input should be 'auto', 'cpu' or 'cuda'"),
        ("datasets.A-b", {"path": "x"}, "datasets.A-b: Value error, use lower-case letters"),
        ("few_shot.apt", {"shots": 0}, "few_shot.apt.shots: Input should be greater than or equal to 1"),
        ("few_shot.apt", {}, "few_shot.apt.shots: required, but not given"),
        ("learners.cops.protocol", "loose", "learners.cops.protocol: Input should be 'strict' or 'paper'"),
    ],
)
def test_wrong_keys_and_values_are_named_by_their_path(path: str, value: Any, expected: str) -> None:
    content = raw()
    *parents, leaf = path.split(".")
    block = content
    for part in parents:
        block = block[part]
    block[leaf] = value
    assert f"params.yaml: {expected}" in message(content)


def test_text_where_a_number_is_wanted_shows_the_form() -> None:
    with pytest.raises(
        UserError, match=r"params.yaml: learners.cops.lr: .*'1e-3' \(a number in YAML needs the form 0.001"
    ):
        build_config("cops", {"lr": "1e-3"}, "learners.cops")


def test_missing_block_is_named() -> None:
    content = raw()
    del content["seeds"]
    assert message(content) == "params.yaml: seeds: required, but not given"


def test_names_that_do_not_exist(file: Path, tmp_path: Path) -> None:
    params = load_params(file)
    with pytest.raises(UserError, match=r"learners.copps does not exist; did you mean 'cops'\?"):
        params.configuration("copps")
    with pytest.raises(UserError, match="datasets.mvtec does not exist; there are: demo_source"):
        params.dataset("mvtec")
    with pytest.raises(
        UserError, match="method 'copps' does not exist; there are: aa_clip, ada_clip, adapt_clip, .*cops"
    ):
        build_config("copps", {}, "learners.x")
    content = raw()
    content["sources"]["visa"] = {}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="datasets.visa does not exist"):
        load_params(tmp_path / "params.yaml")


def test_the_source_rule_must_name_a_source() -> None:
    content = raw()
    content["datasets"]["demo_texture"]["source"] = "demo_object"
    params = validate(Params, content, "params.yaml")
    with pytest.raises(UserError, match=r"datasets.demo_texture.source: 'demo_object' is not under `sources`"):
        params.configuration("cops").source_for(params, "demo_texture")
    content["learners"]["cops"]["source"] = "demo_medical"
    params = validate(Params, content, "params.yaml")
    with pytest.raises(UserError, match="learners.cops.source: 'demo_medical'"):
        params.configuration("cops").source_for(params, "demo_texture")


def test_with_several_sources_a_dataset_must_name_its_own() -> None:
    content = raw()
    content["sources"]["demo_object"] = {}
    params = validate(Params, content, "params.yaml")
    with pytest.raises(UserError, match="datasets.demo_texture.source: name one of demo_source, demo_object"):
        params.configuration("cops").source_for(params, "demo_texture")


def test_constants_follow_the_source_not_the_target() -> None:
    content = raw()
    content["learners"]["cops"] = {"alpha": 0.26, "per_source": {"mvtec": {"alpha": 0.35}}}
    configuration = validate(Params, content, "params.yaml").configuration("cops")
    assert configuration.on("visa").settings == {"alpha": 0.26}
    assert configuration.on("mvtec").settings == {"alpha": 0.35}


def test_the_hash_changes_with_what_decides_predictions_only() -> None:
    params = validate(Params, raw(), "params.yaml")
    base = params.configuration("cops").hash(params)
    for path, value, changes in (("seeds", [0], True), ("batch_size", 3, False), ("device", "cpu", False)):
        other = validate(Params, {**raw(), path: value}, "params.yaml")
        assert (other.configuration("cops").hash(other) != base) is changes


def test_a_file_that_is_not_there_or_not_yaml(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found; run zsad in the repository's root"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(UserError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")


def test_a_few_shot_configuration_is_adapted_to_the_dataset_that_it_serves(file: Path) -> None:
    content = raw()
    content["few_shot"]["mine"] = {"method": "apt", "shots": 4, "epochs": 3}
    file.write_text(yaml.safe_dump(content))
    params = load_params(file)
    mine = params.configuration("mine")
    assert (mine.method, mine.shots, mine.where, mine.settings) == ("apt", 4, "few_shot.mine", {"epochs": 3})
    assert mine.source_for(params, "demo_medical") == "demo_medical"
    assert set(params.configurations) == {*content["learners"], *content["few_shot"]}


def test_a_key_names_one_configuration(file: Path) -> None:
    content = raw()
    content["few_shot"]["cops"] = {"method": "apt", "shots": 1}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"few_shot\.cops: stands under `learners` as well"):
        load_params(file)


def test_a_mistyped_configuration_is_looked_for_in_both_tracks() -> None:
    content = raw()
    content["few_shot"]["apt_4shot"] = {"method": "apt", "shots": 4}
    with pytest.raises(UserError, match="did you mean 'apt_4shot'"):
        Params.model_validate(content).configuration("apt_4shots")


@pytest.mark.parametrize("value", ["absent", None])
def test_the_few_shot_block_may_be_empty_but_not_absent(file: Path, value: str | None) -> None:
    content = raw()
    content["few_shot"] = value
    if value:
        del content["few_shot"]
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="write `few_shot: {}`"):
        load_params(file)


def test_no_configuration_may_have_the_name_of_a_few_shot_model(file: Path) -> None:
    content = raw()
    content["learners"]["mine__demo_object"] = {"method": "cops"}
    content["few_shot"]["mine"] = {"method": "apt", "shots": 1}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="mine__demo_object: a model of few_shot.mine is registered by that name"):
        load_params(file)
