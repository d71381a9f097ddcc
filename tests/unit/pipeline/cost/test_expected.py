"""`zsad cost`: before anything is fetched, and its sums."""

import json
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT
from zsad.cli.main import main
from zsad.common.errors import UserError
from zsad.config.params import Params, load_params
from zsad.config.profiles import apply_profile
from zsad.pipeline.cost.pace import Pace
from zsad.pipeline.cost.sizes import size_of


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["backbones"]["default"]["image_size"] = 32
    Path("params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return tmp_path


def real() -> Params:
    apply_profile(ROOT / "profiles/real.yaml", [])
    return load_params()


def test_sums_at_a_given_pace(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "clip_zero", "anomalyclip", "--tflops", "0.5", "--json", "cost.json"]) == 0
    found = json.loads(Path("cost.json").read_text())
    assert [(cell["stage"], cell["learner"], cell["on"]) for cell in found["cells"]] == [
        ("predict", "clip_zero", "demo_source"),
        ("predict", "clip_zero", "demo_texture"),
        ("predict", "clip_zero", "demo_object"),
        ("predict", "clip_zero", "demo_medical"),
        ("train", "anomalyclip", "demo_source"),
        ("predict", "anomalyclip", "demo_texture"),
        ("predict", "anomalyclip", "demo_object"),
        ("predict", "anomalyclip", "demo_medical"),
    ]
    for cell in found["cells"]:
        assert cell["seconds"] == pytest.approx(cell["flop"] / 0.5e12 + cell["calls"] * 1e-5)
    told = capsys.readouterr().out
    assert f"{sum(cell['pictures'] for cell in found['cells'])} pictures to decode" in told
    assert "at 0.5 TFLOP/s" in told
    assert "the longest cell: train anomalyclip demo_source" in told


def test_without_a_pace_this_machine_is_measured(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "clip_zero", "--json", "cost.json"]) == 0
    pace = json.loads(Path("cost.json").read_text())["pace"]
    assert 1e7 < pace["flop"] < 1e14
    assert 1e-7 < pace["call"] < 1e-2
    assert "measured here: 1 threads of a CPU" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["0", "-1", "nan"])
def test_no_machine_is_that_slow(place: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    assert main(["cost", "--tflops", value]) == 2
    assert "--tflops" in capsys.readouterr().err


def test_a_key_that_is_not_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "cosp", "--tflops", "1"]) == 2
    assert "cosp" in capsys.readouterr().err


def test_published_sets_are_counted_before_they_are_here(place: Path) -> None:
    params = real()
    mvtec, visa = size_of(params, "mvtec"), size_of(params, "visa")
    assert (mvtec.test, mvtec.trainable, mvtec.categories, len(mvtec.names)) == (1725, 1725, 15, 15)
    assert (visa.test, visa.categories, len(visa.names)) == (2162, 12, 8)  # four circuit boards, two macaroni


def test_a_folder_is_counted_once_it_is_indexed(place: Path) -> None:
    folder = "{kind: folder, path: parts, source: visa}"
    apply_profile(ROOT / "profiles/real.yaml", [f"datasets.mvtec={folder}"])
    with pytest.raises(UserError, match=r"datasets\.mvtec: .* run `zsad repro index@mvtec`"):
        size_of(load_params(), "mvtec")


def test_small_operations_take_their_time() -> None:
    assert Pace(1e12, 1e-5, "").seconds(2 * 10**12, 10**5) == pytest.approx(3.0)
