"""`zsad export`: what is written, compared and said; what is refused, with nothing left."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.export import ExportedProgram

import zsad
from tests.helpers.models import noise
from zsad.cli.main import main
from zsad.common.errors import UserError
from zsad.inference.calibration import Calibration, beside, write_calibration
from zsad.inference.export import measure
from zsad.inference.export.export import Wanted, export
from zsad.inference.export.kinds import KINDS, choose
from zsad.inference.export.precision import halve_weights, quantise
from zsad.inference.export.runtime import squares
from zsad.inference.export.sessions import open_session
from zsad.inference.model import Predictor

pytestmark = pytest.mark.usefixtures("here")


def test_the_command_tells_how_far_how_large_how_fast(
    original: Predictor, calibration: Calibration, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_calibration(beside(folder / "clip_zero.safetensors", "LINE3"), calibration)
    assert main(["export", "clip_zero.safetensors", "--to", "torch", "--out", "out/a.pt2", "--object", "bolt"]) == 0
    size, apart, speed, left = capsys.readouterr().out.splitlines()
    assert size.startswith("out/a.pt2: ")
    assert "5 pictures: score " in apart
    assert "PyTorch" in speed
    assert left == "calibration LINE3 left out: made with 'nut' in prompts, and the file has 'bolt'"
    assert [path.name for path in Path("out").iterdir()] == ["a.pt2"]
    score = original.predict(noise(40, 30), prompt_name="bolt").score
    assert zsad.load("out/a.pt2").predict(noise(40, 30)).score == pytest.approx(score, abs=1e-6)


def test_one_category_of_a_few_shot_model(store: Callable[..., Path], tmp_path: Path) -> None:
    path, out = store("patch_memory", ("cork", "felt")), tmp_path / "felt.pt2"
    with pytest.raises(UserError, match="few-shot model has one for each of: cork, felt"):
        export(path, out, Wanted("torch"))
    assert export(path, out, Wanted("torch", category="felt"), [noise(40, 30)]).measured.pictures == 1
    model, wanted = zsad.load(out), zsad.load(path).predict(noise(40, 30), category="felt").score
    assert model.predict(noise(40, 30), category="felt").score == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(UserError, match="category 'cork': this few-shot model was adapted to: felt"):
        model.predict(noise(40, 30), category="cork")


def test_a_file_that_differs_is_not_left(
    original: Predictor, program: ExportedProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "MAP_LIMIT", -1.0)
    monkeypatch.setattr("zsad.inference.export.export.trace", lambda learner, name: program)
    with pytest.raises(UserError, match=r"a\.pt2: differs from PyTorch by .* no file is left"):
        export(Path("clip_zero.safetensors"), tmp_path / "a.pt2", Wanted("torch"))
    assert not list(tmp_path.iterdir())


def test_differences_are_those_of_scores_and_maps(exported: dict[str, Path], original: Predictor) -> None:
    session = open_session(exported[".onnx"])

    def off(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score, logits = session.run(pixels)
        return score + 0.01, np.full_like(logits, 50.0)

    pictures = measure.drawn_pictures()
    right = measure.measure(session, original, pictures, "nut")
    wrong = measure.measure(replace(session, run=off), original, pictures, "nut")
    assert right.score < 1e-6
    assert right.map < 1e-5
    assert wrong.score == pytest.approx(0.01, abs=1e-5)
    assert 0.1 < wrong.map <= 1


def test_equal_weights_are_held_once(exported: dict[str, Path]) -> None:
    import onnx
    from onnx import numpy_helper

    held = [numpy_helper.to_array(tensor) for tensor in onnx.load(exported[".onnx"]).graph.initializer]
    large = [(values.shape, values.tobytes()) for values in held if values.size > 1024]
    assert len(large) == len(set(large))


def test_smaller_files_stay_near(exported: dict[str, Path], tmp_path: Path) -> None:
    import onnx

    model = onnx.load(exported[".onnx"])
    full, side = exported[".onnx"].stat().st_size, 32
    onnx.save(quantise(model, tmp_path), tmp_path / "c8.onnx")
    halve_weights(model)
    onnx.save(model, tmp_path / "c16.onnx")
    pixels = squares([noise(40, 30)], side)
    wanted = open_session(exported[".onnx"]).run(pixels)[0]
    for name, share, apart in (("c16", 0.65, 1e-3), ("c8", 0.5, 0.05)):
        path = tmp_path / f"{name}.onnx"
        assert path.stat().st_size < share * full
        assert 0 < abs(open_session(path).run(pixels)[0] - wanted).max() < apart


@pytest.mark.parametrize(
    ("change", "precision", "reason"),
    [
        ({}, "int8", "do not hold for int8 scores"),
        ({"category": "cork"}, "fp32", "of category 'cork'"),
        ({"prompt_name": "bolt"}, "fp32", "made with 'bolt' in prompts"),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused_by_name(
    original: Predictor, calibration: Calibration, tmp_path: Path, change: dict[str, Any], precision: str, reason: str
) -> None:
    known = {"LINE3": replace(calibration, **change)}
    wanted = Wanted("onnx", precision, calibrations=known, names=["LINE3"])
    with pytest.raises(UserError, match=f"calibration LINE3: .*{reason}"):
        export(Path("clip_zero.safetensors"), tmp_path / "a.onnx", wanted)
    with pytest.raises(UserError, match="calibration OTHER: not of this model, which has: LINE3"):
        export(Path("clip_zero.safetensors"), tmp_path / "a.onnx", replace(wanted, names=["OTHER"]))


@pytest.mark.parametrize(
    ("to", "out", "precision", "message"),
    [
        ("onnx", "a.pt2", "fp32", "--out a.pt2: a file for onnx ends with .onnx"),
        ("torch", "a.pt2", "fp16", "--precision fp16: not for torch; it is written for onnx, openvino"),
        ("openvino", "a.xml", "int8", "--precision int8: not for openvino; it is written for onnx"),
    ],
)
def test_what_does_not_go_together_is_refused(to: str, out: str, precision: str, message: str) -> None:
    assert choose("onnx", Path("a.onnx"), "int8") == KINDS[0]
    with pytest.raises(UserError, match=message):
        choose(to, Path(out), precision)
