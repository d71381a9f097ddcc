"""`zsad calibrate` on a small model: what it says, where it keeps a calibration, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zsad
from tests.helpers.models import save
from zsad.cli.main import main
from zsad.common.io import file_sha256, write_json
from zsad.inference.calibration import beside, read_calibration
from zsad.tracking.calibrations import KEPT

__all__ = ["save"]  # the fixture, by which pytest finds it


@pytest.fixture
def model(save: Callable[..., Path]) -> str:
    """A checkpoint, 19 normal pictures in `good`, 5 anomalous ones in `bad`, 9 of another kind in `dark`."""
    draw = np.random.RandomState(2)
    for folder, count, darker in (("good", 19, 1), ("bad", 5, 1), ("dark", 9, 8)):
        Path(folder).mkdir()
        for number in range(count):
            pixels = draw.randint(0, 256, (24, 24, 3)) // darker
            pixels[: number % 24] = 90
            Image.fromarray(pixels.astype(np.uint8)).save(f"{folder}/{number:02}.png")
    return str(save())


@pytest.fixture
def calibrate(model: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """calibrate(*options, folder="good", model=the checkpoint, code=0) → what the command printed."""

    def run(*options: str, folder: str = "good", model: str = model, code: int = 0) -> str:
        assert main(["calibrate", model, folder, "--name", "LINE3", *options]) == code
        told = capsys.readouterr()
        return told.out + told.err

    return run


def test_a_threshold_and_what_it_misses(calibrate: Callable[..., str], model: str) -> None:
    told = calibrate("--false-alarms", "0.1", "--defects", "bad").splitlines()
    predictor = zsad.load(model)
    good = sorted(predictor.predict(path).score for path in Path("good").iterdir())
    bad = sorted((predictor.predict(path).score, str(path)) for path in Path("bad").iterdir())
    missed = [f"  {score:.6f} {path}" for score, path in bad if score <= good[17]]
    assert told[0] == "LINE3: 19 normal pictures, at most 0.1 false alarms"
    assert told[1].startswith(f"threshold: {good[17]:.6f}, number 18 of 19 from below; of maps 0.")
    assert told[2] == "false alarms: 0.1000 expected; in 95 of 100 such calibrations from 0.0130 to 0.2603"
    auroc = np.mean([score > normal for score, _ in bad for normal in good])
    assert told[3] == f"defects: {len(missed)} of 5 missed; AUROC {auroc:.3f}"
    assert missed
    assert told[4:] == [*missed, "kept: model.LINE3.calibration.json"]
    maps = sorted(predictor.predict(path).map.max() for path in Path("good").iterdir())
    kept = read_calibration(Path("model.LINE3.calibration.json"))
    assert kept.scores == pytest.approx(good, abs=1e-6)
    assert kept.pixel_threshold == pytest.approx(maps[17], abs=1e-3)
    assert kept.checkpoint_sha256 == file_sha256(Path(model))


def test_the_same_again_changes_nothing_and_another_wants_to_be_asked_for(calibrate: Callable[..., str]) -> None:
    calibrate("--false-alarms", "0.1")
    kept = Path("model.LINE3.calibration.json")
    first, written = kept.read_text(), kept.stat().st_mtime_ns
    assert calibrate("--false-alarms", "0.1").splitlines()[-1] == "LINE3 is there already, unchanged"
    assert kept.stat().st_mtime_ns == written
    assert "has one of that name, of 19 pictures with --false-alarms 0.1" in calibrate("--false-alarms", "0.2", code=2)
    Path("good/00.png").unlink()
    assert "or --replace" in calibrate("--false-alarms", "0.1", code=2)
    assert kept.read_text() == first
    assert "kept: model.LINE3" in calibrate("--false-alarms", "0.2", "--replace")
    assert read_calibration(kept).n == 18


def test_todays_pictures_are_compared(calibrate: Callable[..., str]) -> None:
    calibrate("--false-alarms", "0.1")
    fits = calibrate("--check")
    assert "19 of them have a score of the calibration" in fits
    assert fits.splitlines()[-1] == "verdict: fits"
    drifted = calibrate("--check", folder="dark", code=2)
    assert "verdict: drifted\nzsad: dark: does not fit calibration LINE3: " in drifted
    assert "--defects: belongs to a new calibration" in calibrate("--check", "--defects", "bad", code=2)
    assert "made with 'object'" in calibrate("--check", "--object", "nut", code=2)


def test_what_was_learned_from_is_left_out(calibrate: Callable[..., str]) -> None:
    """A few-shot model knows its support by heart: those scores are not those of a picture of tomorrow."""
    from zsad.datasets.images import read_image
    from zsad.datasets.integrity import pixel_hash

    seen = Path("good/03.png")
    write_json(Path("pictures.json"), {"dataset": "s", "pictures": {"x": pixel_hash(read_image(seen))}})
    told = calibrate("--false-alarms", "0.1")
    assert "LINE3: 18 normal pictures" in told
    assert "left out, for the model has learned from them: good/03.png" in told


def test_copies_are_told(calibrate: Callable[..., str]) -> None:
    shutil.copy("good/07.png", "good/copy.png")
    assert "1 copies, which count but tell nothing new; better without: good/copy.png" in calibrate(
        "--false-alarms", "0.1"
    )


def test_nothing_drops_out_unnoticed(calibrate: Callable[..., str]) -> None:
    for number in range(12):
        Path(f"good/broken_{number:02}.png").write_bytes(b"no picture")
    told = calibrate("--false-alarms", "0.1", code=2)
    assert "good: 12 pictures cannot be read; replace or remove them: good/broken_00.png: not a readable" in told
    assert told.rstrip().endswith("and 2 more")
    assert not list(Path().glob("*.calibration.json"))


@pytest.mark.parametrize(
    ("options", "folder", "message"),
    [
        ((), "good", "19 normal pictures: --false-alarms 0.01 needs at least 99; add some, or allow 0.05"),
        (("--false-alarms", "0.1"), "nowhere", "nowhere: no such folder"),
        (("--false-alarms", "0.1", "--defects", "nowhere"), "good", "nowhere: no such folder"),
        (("--false-alarms", "0.1", "--category", "cork"), "good", "category 'cork': this is a zero-shot model"),
        (("--check",), "good", "calibration LINE3: not of model.safetensors, which has: none; `zsad calibrate"),
    ],
)
def test_bad_input(calibrate: Callable[..., str], options: tuple[str, ...], folder: str, message: str) -> None:
    assert message in calibrate(*options, folder=folder, code=2)


@pytest.mark.parametrize("tracked", ["data/checkpoints/anomalyclip/s", "mine"])
def test_no_file_appears_where_dvc_holds_the_folder(calibrate: Callable[..., str], model: str, tracked: str) -> None:
    folder = Path(tracked)
    folder.mkdir(parents=True)
    Path("mine.dvc").touch()  # of `dvc add mine`
    there = str(shutil.copy(model, folder / "seed_0.safetensors"))
    kept = KEPT / file_sha256(Path(model)) / "LINE3.calibration.json"
    assert f"kept: {kept}" in calibrate("--false-alarms", "0.1", model=there)
    assert [path.name for path in folder.iterdir()] == ["seed_0.safetensors"]
    assert not beside(Path(model), "LINE3").exists()
    for name in (there, model):  # the same checkpoint, wherever it lies
        assert zsad.load(name, calibration="LINE3").calibration == read_calibration(kept)
