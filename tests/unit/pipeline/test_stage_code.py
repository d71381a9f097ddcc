"""Digests of the real source: which stage is made of what."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT
from zsad.common.io import read_json
from zsad.config.params import Params, load_params
from zsad.learners.lookup import methods
from zsad.pipeline.stage_code import write_code


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def digests(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    out = tmp_path_factory.mktemp("digests") / "code"
    write_code(params, out)
    return {str(path.relative_to(out).with_suffix("")): read_json(path) for path in out.rglob("*.json")}


def readers(digests: Mapping[str, dict[str, Any]], module: str) -> set[str]:
    """Stages that read a module."""
    return {name.partition("/")[0] for name, content in digests.items() if module in content["modules"]}


def test_one_digest_a_stage_and_a_key(params: Params, digests: Mapping[str, dict[str, Any]]) -> None:
    expected = {"weights", "backbones", "combine", "score", "aggregate", "register"}
    expected |= {f"{stage}/{key}" for stage in ("fetch", "index") for key in params.datasets}
    expected |= {f"predict/{key}" for key in params.configurations}
    expected |= {f"train/{key}" for key in params.learners} | {f"adapt/{key}" for key in params.few_shot}
    assert set(digests) == expected


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("zsad.clip.attention", {"train", "adapt", "predict"}),
        ("zsad.training.loop", {"train"}),
        ("zsad.training.support_set", {"adapt"}),
        ("zsad.inference.batches", {"predict"}),
        ("zsad.inference.maps", {"predict", "combine", "score", "register"}),
        ("zsad.inference.combine", {"combine"}),
        ("zsad.inference.ensemble", {"combine", "score", "register"}),
        ("zsad.evaluation.metrics.histogram", {"score"}),
        ("zsad.evaluation.leaderboard", {"aggregate"}),
        ("zsad.tracking.runs", {"register"}),
        ("zsad.tracking.serving", {"register"}),
        ("zsad.tracking.journal", {"register"}),
        ("zsad.evaluation.published.beside", {"aggregate"}),
        ("zsad.evaluation.gate", set()),
        ("zsad.evaluation.comparison.two", set()),
        ("zsad.cli.main", set()),
        ("zsad.config.params", set()),
        ("zsad.pipeline.stage_code", set()),
        ("zsad.datasets.transport.download", set()),
        ("zsad_synthetic.demo.textures", {"fetch"}),
    ],
)
def test_a_module_is_in_the_stages_that_read_it(
    digests: Mapping[str, dict[str, Any]], module: str, stages: set[str]
) -> None:
    assert readers(digests, module) == stages


def test_a_method_is_in_its_own_configurations_only(params: Params, digests: Mapping[str, dict[str, Any]]) -> None:
    for key in params.configurations:
        own = params.configuration(key).method
        for stage in ("adapt" if key in params.few_shot else "train", "predict"):
            read = {name.split(".")[2] for name in digests[f"{stage}/{key}"]["modules"] if ".learners." in name}
            assert read & set(methods()) == {own}


def test_class_names_run_what_reads_them_and_their_absence_nothing(params: Params, tmp_path: Path) -> None:
    told = {}
    for name, namings in (("without", {}), ("with", {"missing": "object"})):
        write_code(params.model_copy(update={"class_names": namings}), tmp_path / name)
        told[name] = {str(p.relative_to(tmp_path / name)): read_json(p) for p in (tmp_path / name).rglob("*.json")}
    changed = {name for name in told["with"] if told["with"][name] != told["without"][name]}
    expected = {f"predict/{key}.json" for key in params.configurations}
    assert changed == expected | {f"adapt/{key}.json" for key in params.few_shot}
    assert "class_names" not in str(told["without"]["predict/cops.json"]["grid"])


def test_weights_are_made_of_the_embedded_files(digests: Mapping[str, dict[str, Any]]) -> None:
    folder = "zsad/clip/embedded"
    assert set(digests["weights"]["data"]) == {f"{folder}/weights.safetensors", f"{folder}/open_clip_config.json"}


def test_a_set_unpacked_by_hand_is_made_of_its_entry(params: Params, tmp_path: Path) -> None:
    block = params.datasets["demo_source"].model_copy(
        update={"kind": "official", "path": "/data/brains", "id": "brainmri"}
    )
    write_code(params.model_copy(update={"datasets": {**params.datasets, "brains": block}}), tmp_path / "code")
    assert list(read_json(tmp_path / "code/index/brains.json")["data"]) == ["zsad/datasets/entries/brainmri.yaml"]
