"""The identity of each configuration's frozen CLIP."""

from pathlib import Path

from tests.helpers import ROOT
from zsad.common.io import read_json, write_json
from zsad.config.params import load_params
from zsad.config.schema import BackboneParams
from zsad.pipeline.backbones import write_backbones


def test_each_configuration_is_told_its_own(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    other = BackboneParams(name="ViT-B-16", pretrained="openai", image_size=224)
    wide = params.learners["cops"].model_copy(update={"backbone": "wide"})
    params = params.model_copy(
        update={"backbones": {**params.backbones, "wide": other}, "learners": {**params.learners, "cops": wide}}
    )
    for key, sha256 in (("default", "aa"), ("wide", "bb")):
        write_json(tmp_path / "weights" / key / "backbone.json", {"sha256": sha256})
    write_backbones(params, tmp_path / "out", tmp_path / "weights")
    assert {path.stem for path in (tmp_path / "out").iterdir()} == set(params.configurations)
    assert read_json(tmp_path / "out/cops.json") == {**other.model_dump(), "sha256": "bb"}
    embedded = {**params.backbones["default"].model_dump(), "sha256": "aa"}
    assert read_json(tmp_path / "out/anomalyclip.json") == read_json(tmp_path / "out/apt_2shot.json") == embedded
