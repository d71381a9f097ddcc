"""`zsad bench` on the embedded CLIP: a row of everything, by configurations of params.yaml, without any training."""

import json
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT
from zsad.cli.main import main
from zsad.clip.embedded import loader as embedded
from zsad.clip.weights import prepare
from zsad.config.schema import BackboneParams
from zsad.pipeline.bench import around


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(around, "SIDE", 64)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["backbones"]["default"]["image_size"] = 32
    params["learners"] = {"cops": {"train_batch_size": 2}, "adapt_clip": {}}
    params["few_shot"] = {"memory": {"method": "patch_memory", "shots": 1}}
    params["few_shot_of"] = {"form": {"of": "adapt_clip", "shots": 1}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    prepare(BackboneParams(name="embedded", pretrained="embedded", image_size=32), Path("data/weights/default"))
    return tmp_path


def by_hand(side: int, patch: int) -> int:
    """Operations of the embedded CLIP's image tower for one class token, after Kaplan et al. (arXiv 2001.08361)."""
    vision = embedded.config()["model_cfg"]["vision_cfg"]
    width, layers, joint = vision["width"], vision["layers"], embedded.config()["model_cfg"]["embed_dim"]
    patches = (side // patch) ** 2
    tokens = patches + 1
    whole = tokens * (3 + 1 + 8) * width**2 + 2 * tokens**2 * width  # q, k, v, out, an MLP of 4 widths, attention
    last = tokens * 3 * width**2 + (1 + 8) * width**2 + 2 * tokens * width  # only the class token goes on
    return 2 * (patches * 3 * patch**2 * width + (layers - 1) * whole + last + width * joint)


def test_every_configuration_has_its_rows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "cops", "memory", "form", "--batch", "1", "2", "--rounds", "1", "--json", "bench.json"]) == 0
    found = json.loads(Path("bench.json").read_text())
    rows = [(row["what"], row["name"], row["batch"]) for row in found["rows"]]
    assert len(rows) == len(set(rows))
    names = ["image tower alone", "with the V-V stream", "cops", "memory"]
    predicted = {("prediction", name, size) for name in names for size in (1, 2)}
    assert predicted | {("training step", "cops", 2)} == {row for row in rows if row[0] != "beside the model"}
    assert all(row["ms"] > 0 for row in found["rows"])
    counted = {(row["what"], row["name"], row["batch"]): row["gflop"] for row in found["rows"]}
    tower = counted["prediction", "image tower alone", 1]
    assert tower == counted["prediction", "image tower alone", 2] < counted["prediction", "with the V-V stream", 1]
    assert tower == pytest.approx(by_hand(side=32, patch=8) / 1e9)
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
    assert "--batch 0: at least 1" in capsys.readouterr().err
