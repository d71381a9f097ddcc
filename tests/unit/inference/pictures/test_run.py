"""Folders in; a table, heatmaps and overlays out: nothing lost, nothing twice, one colour scale."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT
from tests.helpers.brightness import Brightness
from zsad.common.errors import UserError
from zsad.inference.calibration import calibrate
from zsad.inference.pictures import decoding
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.run import predict_pictures
from zsad.inference.pictures.summary import Summary

OUT = Path("out")


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/00.png … 11.png, each a little brighter, of unlike sizes; 03.png and z.png are broken."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        grey(20 * number, (20 + number, 16)).save(folder / f"{number:02}.png")
    (folder / "03.png").write_bytes(b"broken")
    (folder / "deep").mkdir()
    (folder / "deep/z.png").touch()
    return folder


def grey(value: int, size: tuple[int, int] = (20, 16)) -> Image.Image:
    picture = Image.new("L", size, value)
    picture.paste(min(value + 20, 255), (2, 3, 7, 9))
    return picture


def run(model: Brightness | None = None, *paths: str, out: Path = OUT, **options: object) -> Summary:
    asked = Options(**options)  # type: ignore[arg-type]
    return predict_pictures(model or Brightness(), paths or ["photos"], out, asked)  # type: ignore[arg-type]


def rows(out: Path = OUT) -> list[dict[str, str]]:
    with (out / "scores.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_folder(photos: Path) -> None:
    model = Brightness()
    summary = run(model, batch_size=4)
    table = rows()
    assert [row["path"] for row in table] == [*(f"photos/{n:02}.png" for n in range(12)), "photos/deep/z.png"]
    for number, row in enumerate(table[:12]):
        if number == 3:
            assert row["score"] == row["label"] == row["regions"] == ""
            assert row["error"] == "photos/03.png: not a readable picture (of no known format; save it as PNG or JPEG)"
            continue
        pixels = np.asarray(Image.open(photos / f"{number:02}.png"))
        assert float(row["score"]) == pytest.approx(pixels.mean() / 255, abs=1e-6)
        assert row["error"] == row["label"] == row["threshold"] == row["percentile"] == row["regions"] == ""
        for kind in ("heatmap", "overlay"):
            assert Image.open(f"out/{number:02}.png.{kind}.png").size == (20 + number, 16)
    assert model.batches == [4, 4, 3]  # a broken picture takes nobody's place
    assert (summary.rows, summary.failed, summary.anomalous) == (13, 2, None)
    assert "2 of the pictures could not be read; out/scores.csv names them:\n  photos/03.png: " in summary.complaint
    assert not Path("out/03.png.heatmap.png").exists()


def test_the_list_of_bad_files_ends(photos: Path) -> None:
    for number in range(30):
        (photos / f"bad{number}.png").touch()
    complaint = run().complaint.splitlines()
    assert len(complaint) == 1 + 20 + 1
    assert complaint[-1] == "  and 12 more"


def test_batches_and_workers_change_nothing() -> None:
    run(out=Path("one"), batch_size=1, workers=1)
    run(out=Path("many"), batch_size=5, workers=3)
    files = sorted(path.relative_to("one") for path in Path("one").rglob("*.*g"))
    assert len(files) == 22
    assert all(Path("one", file).read_bytes() == Path("many", file).read_bytes() for file in files)
    assert Path("one/scores.csv").read_bytes() == Path("many/scores.csv").read_bytes()


def test_labels_regions_and_colours_of_a_calibrated_model() -> None:
    scores = list(np.linspace(0, 0.45, 19))
    known = calibrate("LINE3", 0.1, scores, [0.5] * 19, checkpoint_sha256="bright")
    summary = run(Brightness(known))
    table = [row for row in rows() if not row["error"]]
    assert [row["label"] for row in table] == [str(int(float(row["score"]) > known.threshold)) for row in table]
    assert {row["threshold"] for row in table} == {f"{known.threshold:.6f}"}
    assert summary.anomalous == sum(row["label"] == "1" for row in table) > 0
    assert float(table[-1]["percentile"]) == 100
    six, seven = (json.loads(table[n]["regions"]) for n in (4, 6))  # of grey 100 and 140; a patch of 120 and 160
    assert six == []
    assert seven == [{"x": 0, "y": 0, "width": 27, "height": 16, "area": 27 * 16, "peak": round(160 / 255, 6)}]
    dark = np.asarray(Image.open("out/05.png.overlay.png"))
    assert (dark == np.asarray(Image.open("photos/05.png"))[..., None]).all()  # a good part looks good
    bright = np.asarray(Image.open("out/07.png.overlay.png")).astype(int)
    assert np.abs(bright - np.asarray(Image.open("photos/07.png"))[..., None]).max() > 40


def test_a_pixel_threshold_of_ones_own() -> None:
    run(None, "photos/02.png", pixel_threshold=0.2)
    (row,) = rows()
    box = {"x": 2, "y": 3, "width": 5, "height": 6, "area": 30, "peak": round(60 / 255, 6)}
    assert json.loads(row["regions"]) == [box]
    assert row["label"] == ""


def test_one_scale_for_the_run_and_for_what_follows() -> None:
    """Settled by the first pictures, kept, and used by a later run, which would have settled on another."""
    run(None, *(f"photos/{n:02}.png" for n in (0, 1, 2, 4)))
    low, high = json.loads(Path("out/.zsad/run.json").read_text())["scale"]
    assert 0 < low < high <= 100 / 255 + 1e-9
    run(None, "photos/11.png")
    assert json.loads(Path("out/.zsad/run.json").read_text())["scale"] == [low, high]
    run(None, "photos/11.png", out=Path("alone"))
    shown = [np.asarray(Image.open(f"{folder}/11.png.overlay.png")) for folder in ("out", "alone")]
    assert (shown[0] != shown[1]).any()
    run(None, "photos/11.png", out=Path("told"), scale=(low, high))
    assert Path("told/11.png.overlay.png").read_bytes() == Path("out/11.png.overlay.png").read_bytes()


def test_a_second_run_goes_on_and_keeps_what_stands(photos: Path) -> None:
    run(None, "photos/00.png", "photos/01.png")
    first = rows()
    model = Brightness()
    summary = run(model)
    assert (model.asked, summary.kept, summary.rows) == (9, 2, 13)
    assert rows()[:2] == first
    grey(200).save(photos / "00.png")  # another picture now
    Path("out/05.png.overlay.png").unlink()  # somebody tidied up
    grey(90).save(photos / "03.png")  # mended
    model = Brightness()
    summary = run(model)
    assert (model.asked, summary.kept, summary.failed) == (3, 9, 1)
    table = rows()
    assert [Path(row["path"]).name for row in table] == [*(f"{n:02}.png" for n in range(12)), "z.png"]
    assert float(table[0]["score"]) > 0.7
    assert table[3]["error"] == ""
    assert Path("out/05.png.overlay.png").is_file()


def test_a_picture_that_broke_since_loses_its_heatmap(photos: Path) -> None:
    run(None, "photos/00.png")
    (photos / "00.png").write_bytes(b"")
    run(None, "photos/00.png")
    assert [row["score"] for row in rows()] == [""]
    assert not list(OUT.glob("*.png"))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"prompt_name": "nut"}, "object"),
        ({"pixel_threshold": 0.5, "bits": 12}, "bits, pixel-threshold"),
        ({"form": "jsonl"}, "format"),
        ({"scale": (0, 1)}, "scale"),
    ],
)
def test_results_with_other_settings_are_not_mixed(options: dict, names: str) -> None:
    run(None, "photos/00.png")
    with pytest.raises(UserError, match=rf"--out out: holds results with other settings \({names}\); .* --anew"):
        run(**options)
    run(None, "photos/01.png", anew=True, **options)
    assert not Path("out/00.png.heatmap.png").exists()
    assert Path("out/01.png.heatmap.png").exists()


def test_results_of_another_model_are_not_mixed() -> None:
    run()
    other = Brightness()
    other.checkpoint_sha256 = "dark"
    with pytest.raises(UserError, match=r"other settings \(model\)"):
        run(other)
    assert other.asked == 0


def test_a_slip_of_the_first_try_does_not_bind(photos: Path) -> None:
    class Refusing(Brightness):
        def predict_batch(self, *_: object, **__: object):  # type: ignore[no-untyped-def]
            raise UserError("prompt_name")

    with pytest.raises(UserError, match="prompt_name"):
        run(Refusing(), prompt_name="nut")
    assert run().rows == 13


def test_two_pictures_for_one_place_in_two_runs() -> None:
    Path("other").mkdir()
    grey(7).save("other/00.png")
    run()
    with pytest.raises(UserError, match=r"other/00.png and .*photos/00.png would both be written as out/00.png"):
        run(None, "other")


def test_two_runs_at_once() -> None:
    slow = threading.Thread(target=run, args=(Brightness(seconds=0.1), "photos"))
    slow.start()
    while not Path("out/.zsad/run.json").is_file():
        time.sleep(0.01)
    with pytest.raises(UserError, match="another run is writing there"):
        run()
    slow.join()
    assert run().kept == 11


def test_it_goes_on_after_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.helpers.brightness", "photos", "out"]
    killed = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"})
    ledger = Path("out/.zsad/rows.jsonl")
    deadline = time.monotonic() + 60
    try:
        # the first rows appear together, when the colours are settled: only then is there something to go on from
        while not ledger.is_file() or ledger.read_bytes().count(b"\n") < 3:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        killed.kill()
        killed.wait()
    assert not Path("out/scores.csv").exists() or killed.returncode == 0
    with ledger.open("ab") as file:
        file.write(b'{"place": "torn')
    model = Brightness()
    summary = run(model, batch_size=2)
    assert summary.kept >= 3
    assert model.asked == 11 - summary.kept
    run(out=Path("whole"), batch_size=2)
    assert Path("out/scores.csv").read_bytes() == Path("whole/scores.csv").read_bytes()
    for path in Path("whole").rglob("*.png"):
        assert Path("out", path.relative_to("whole")).read_bytes() == path.read_bytes()


def test_memory_is_bounded_by_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large pictures are decoded and scored one at a time, however large a batch is asked for."""
    monkeypatch.setattr(decoding, "MOST_PIXELS", 300)
    model = Brightness()
    run(model, batch_size=8, workers=2)
    assert set(model.batches) == {1}


def test_a_list_on_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.BytesIO(b"photos/00.png\nphotos/none.png\nphotos/00.png\n\xff.png\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(lines))
    summary = run(None, "-")
    with Path("out/scores.csv").open(errors="surrogateescape") as file:
        first, second, third = csv.DictReader(file)
    assert (first["path"], first["error"]) == ("photos/00.png", "")
    assert "photos/none.png: not a readable picture (No such file or directory)" in second["error"]
    assert third["path"] == "\udcff.png"
    assert summary.failed == 2
    assert Path("out/photos/00.png.overlay.png").is_file()


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        (["photos"], {"batch_size": 0}, "--batch-size 0: at least 1"),
        (["photos"], {"workers": 0}, "--workers 0: at least 1"),
        (["photos"], {"scale": (1, 1)}, "--scale 1 1: the first must be below"),
        (["photos"], {"pixel_threshold": 2.0}, "--pixel-threshold 2: maps lie in"),
        (["-", "photos"], {}, "a list on stdin stands alone"),
        (["photos/00.png"], {"watch": True}, "--watch photos/00.png: is no folder"),
        (["photos"], {"watch": True, "form": "parquet"}, "no row can be added"),
        (["empty"], {}, "empty: no pictures there"),
    ],
)
def test_what_cannot_be_asked(paths: list[str], options: dict, message: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError, match=message):
        run(None, *paths, **options)
    assert not OUT.exists()


def test_a_file_where_results_should_go() -> None:
    with pytest.raises(UserError, match=r"--out photos/00\.png: is a file; name a folder"):
        run(out=Path("photos/00.png"))
