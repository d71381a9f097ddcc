"""Files of keys that are gone: found, told, and deleted on request alone."""

from pathlib import Path

import pytest

from tests.conftest import shipped
from zsad.cli.main import main

MINE = [
    "data/backbones/cops.json",
    "data/checkpoints/cops/demo_source/seed_0.safetensors",
    "data/checkpoints/apt_2shot/demo_texture/seed_0.safetensors",
    "data/downloads/visa/visa.tar",
    "data/ensembles/both/demo_texture.json",
    "data/journal/cops/demo_source.jsonl",
    "data/manifests/demo_texture/manifest.csv",
    "data/predictions/cops/demo_texture/prediction.json",
    "data/raw/visa/candle/0.png",
    "data/registry/promoted/aa.safetensors",
    "data/scratch/train/cops/demo_source.lock",
    "data/weights/default/backbone.json",
    "metrics/cells/both/demo_texture.json",
    "metrics/cells/cops/demo_texture.json",
]
GONE = [
    "data/checkpoints/cops/visa",
    "data/checkpoints/old",
    "data/ensembles/both/visa.json",
    "data/ensembles/old",
    "data/journal/cops/visa.jsonl",
    "data/journal/old",
    "data/manifests/visa",
    "data/predictions/both",
    "data/predictions/cops/visa",
    "data/raw/old_parts",
    "data/scratch/train/old",
    "data/weights/large",
    "metrics/cells/cops/visa.json",
    "metrics/cells/old",
]


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    both = "ensembles: {both: {of: [cops, clip_zero]}}"
    (tmp_path / "params.yaml").write_text(shipped("params.yaml").replace("ensembles: {}", both))
    for name in [*MINE, *(name if Path(name).suffix else f"{name}/file" for name in GONE)]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")


def test_they_are_listed_and_nothing_is_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leftovers"]) == 0
    assert capsys.readouterr().out.splitlines() == [*GONE, "zsad leftovers --remove deletes them"]
    assert all(Path(name).exists() for name in [*MINE, *GONE])


def test_they_are_deleted_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leftovers", "--remove"]) == 0
    assert [name for name in GONE if Path(name).exists()] == []
    assert all(Path(name).is_file() for name in MINE)
    assert not Path("data/raw/old_parts").exists()
    capsys.readouterr()
    assert main(["leftovers"]) == 0
    assert "nothing is left of keys that params.yaml does not have" in capsys.readouterr().out


def test_frozen_features_go_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/features/demo_texture_00").mkdir(parents=True)
    assert main(["leftovers", "--features", "--remove"]) == 0
    assert "data/features" in capsys.readouterr().out.splitlines()
    assert not Path("data/features").exists()
    assert all(Path(name).is_file() for name in MINE)
