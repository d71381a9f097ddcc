"""Exported files as models: the numbers of PyTorch, without torch; what they refuse."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zsad
from tests.helpers.models import noise
from zsad.common.errors import UserError
from zsad.inference.calibration import Calibration
from zsad.inference.model import Predictor
from zsad.tracking.loading import find_checkpoint

KINDS = [".onnx", ".xml", ".pt2"]
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "open_clip", "mlflow", "pandas", "pydantic", "sklearn", "safetensors"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from zsad.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_scores_as_its_checkpoint(exported: dict[str, Path], original: Predictor, kind: str) -> None:
    model, pictures = zsad.load(exported[kind]), [noise(40, 30), noise(31, 57), noise(64, 16)]
    assert isinstance(model, zsad.Predictor)
    for own, wanted in zip(
        model.predict_batch(pictures, 2), original.predict_batch(pictures, 3, prompt_name="nut"), strict=True
    ):
        assert own.score == pytest.approx(wanted.score, abs=1e-5)
        np.testing.assert_allclose(own.map, wanted.map, atol=3e-4)  # 1e-4, and a step of what maps are rounded to
        assert own.label is None
    assert abs(original.predict(pictures[0]).score - model.predict(pictures[0]).score) > 1e-4  # "object" is no nut


def test_predict_needs_no_torch(exported: dict[str, Path], tmp_path: Path, original: Predictor) -> None:
    (tmp_path / "photos").mkdir()
    noise(40, 30).save(tmp_path / "photos/a.png")
    command = ["predict", str(exported[".onnx"]), "photos", "--out", "out", "--calibration", "LINE3"]
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *command], cwd=tmp_path, check=True)
    header, row = (tmp_path / "out/scores.csv").read_text().splitlines()
    told = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(told["score"]) == pytest.approx(original.predict(noise(40, 30), prompt_name="nut").score, abs=1e-5)
    assert told["threshold"] != ""
    assert (tmp_path / "out/a.png.overlay.png").is_file()


def test_a_calibration_travels_inside(exported: dict[str, Path], calibration: Calibration) -> None:
    result = zsad.load(exported[".onnx"], calibration="LINE3").predict(noise(40, 30))
    assert result.threshold == calibration.threshold
    assert result.label == int(result.score > calibration.threshold)
    with pytest.raises(UserError, match=r"calibration OTHER: not in .*model\.onnx, which holds: LINE3"):
        zsad.load(exported[".onnx"], calibration="OTHER")


def test_what_is_fixed_cannot_be_asked_for_otherwise(exported: dict[str, Path]) -> None:
    model = zsad.load(exported[".onnx"])
    with pytest.raises(UserError, match="prompt_name 'bolt': this file was exported with 'nut'"):
        model.predict(noise(40, 30), prompt_name="bolt")
    with pytest.raises(UserError, match="zero-shot model"):
        model.predict(noise(40, 30), category="nut")
    with pytest.raises(UserError, match=r"model\.onnx runs on the CPU"):
        zsad.load(exported[".onnx"], "cuda")
    with pytest.raises(UserError, match="export again with --states"):
        zsad.load(exported[".onnx"], states={"normal": ["new {}"]})
    with pytest.raises(UserError, match="wants the checkpoint"):
        find_checkpoint(str(exported[".onnx"]))


def test_evaluate_takes_an_exported_file(exported: dict[str, Path], original: Predictor, tmp_path: Path) -> None:
    for place in ("train/good", "test/good", "test/spot", "ground_truth/spot"):
        (tmp_path / "nut" / place).mkdir(parents=True)
    for number in range(3):
        for place in ("train/good", "test/good", "test/spot"):
            noise(30 + number, 40, "L" if "spot" in place else "RGB").save(tmp_path / f"nut/{place}/{number}.png")
        mask = np.zeros((40, 30 + number), np.uint8)
        mask[5:9, 3:9] = 255
        Image.fromarray(mask).save(tmp_path / f"nut/ground_truth/spot/{number}_mask.png")
    own, wanted = (zsad.evaluate(model, tmp_path, batch_size=2) for model in (zsad.load(exported[".onnx"]), original))
    assert own["n_images"].tolist() == wanted["n_images"].tolist() == [6, 6]
    np.testing.assert_allclose(own["pixel_auroc"], wanted["pixel_auroc"], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_what_is_no_model_is_refused(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / f"a{kind}"
    path.write_bytes(content)
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(UserError, match=rf"a\{kind}: not "):
        zsad.load(path)
    with pytest.raises(UserError, match="no such file"):
        zsad.load(tmp_path / f"b{kind}")


def test_a_model_of_others_is_refused(exported: dict[str, Path], tmp_path: Path) -> None:
    import onnx

    model = onnx.load(exported[".onnx"])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(UserError, match=r"a\.onnx: not exported by this version of zsad"):
        zsad.load(tmp_path / "a.onnx")


def test_weights_that_were_left_behind_are_named(exported: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(exported[".xml"].read_bytes())
    with pytest.raises(UserError, match=r"a\.bin: no such file; a\.xml has its weights there"):
        zsad.load(tmp_path / "a.xml")


class Trap:
    """Unpickling this fails the test."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


def test_a_pickle_in_a_torch_archive_is_never_loaded(exported: dict[str, Path], tmp_path: Path) -> None:
    trap = tmp_path / "trap.pt"
    torch.save(Trap(), trap)
    with zipfile.ZipFile(exported[".pt2"]) as old, zipfile.ZipFile(tmp_path / "a.pt2", "w") as new:
        assert [name for name in old.namelist() if name.endswith(".pt")]
        for member in old.infolist():
            new.writestr(member, trap.read_bytes() if member.filename.endswith(".pt") else old.read(member))
    with pytest.raises(UserError, match=r"a\.pt2: not a readable torch file"):
        zsad.load(tmp_path / "a.pt2")
