"""`zsad bench` on the embedded CLIP: a row of everything, by configurations of params.yaml, without any training."""

import json
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT
from zsad.cli.main import main
from zsad.clip.weights import prepare
from zsad.config.schema import BackboneParams

WORDS = {"states": {"normal": ["{}"], "anomalous": ["damaged {}"], "templates": ["a photo of a {}."]}}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["backbones"]["default"]["image_size"] = 32
    params["learners"] = {"clip_zero": WORDS, "cops": {"train_batch_size": 2}, "adapt_clip": {"train_batch_size": 2}}
    params["few_shot"] = {"memory": {"method": "patch_memory", "shots": 1}}
    params["few_shot_of"] = {"form": {"of": "adapt_clip", "shots": 1}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    prepare(BackboneParams(name="embedded", pretrained="embedded", image_size=32), Path("data/weights/default"))
    return tmp_path


def test_every_configuration_has_its_rows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--batch", "1", "2", "--rounds", "2", "--json", "bench.json"]) == 0
    found = json.loads(Path("bench.json").read_text())
    rows = [(row["what"], row["name"], row["batch"]) for row in found["rows"]]
    assert len(rows) == len(set(rows))
    towers = ["image tower alone", "with the V-V stream"]
    predicted = {
        ("prediction", name, size) for name in [*towers, "clip_zero", "cops", "adapt_clip", "memory"] for size in (1, 2)
    }
    assert predicted | {("training step", "cops", 2), ("training step", "adapt_clip", 2)} <= set(rows)
    assert all(row["ms"] > 0 for row in found["rows"])
    floors = {row["name"]: row["over_floor"] for row in found["rows"] if row["what"] == "prediction"}
    assert floors.pop("image tower alone") is None
    assert floors.pop("with the V-V stream") == 1
    assert all(ratio > 0 for ratio in floors.values())
    assert found["environment"]["CLIP"] == "embedded at 32 px"
    told = capsys.readouterr()
    assert "| prediction | cops" in " ".join(told.out.split())
    assert "form: reads a picture as adapt_clip does" in told.err


def test_what_cannot_be_timed_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "cosp"]) == 2
    assert "cosp" in capsys.readouterr().err
    assert main(["bench", "--batch", "0"]) == 2
    assert "--batch [0]: at least 1" in capsys.readouterr().err
