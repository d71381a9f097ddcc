"""Any pictures, one checkpoint: files and folders in; scores.csv, heatmaps and overlays out."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zsad
from tests.helpers.models import noise, save
from zsad.common.errors import UserError
from zsad.inference.folder import predict_paths
from zsad.inference.model import load_checkpoint
from zsad.inference.render import heatmap, overlay

__all__ = ["save"]  # the fixture, by which pytest finds it


def test_a_folder_of_unlike_pictures(save: Callable[..., Path]) -> None:
    photos = Path("photos")
    (photos / "deep").mkdir(parents=True)
    noise(40, 30).save(photos / "a.png")
    noise(31, 57, "L").save(photos / "a.jpg")
    noise(20, 20, "P").save(photos / "deep" / "palette.png")
    noise(64, 16, "RGBA").save(photos / "deep" / "alpha.PNG")
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (photos / "notes.txt").write_text("no picture")

    assert predict_paths(load_checkpoint(save(), "cpu"), [photos], Path("out"), "object") == 1

    with Path("out/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [
        "photos/a.jpg", "photos/a.png", "photos/broken.png", "photos/deep/alpha.PNG", "photos/deep/palette.png",
    ]  # fmt: skip
    assert list(rows[0]) == ["path", "score", "label", "threshold", "error"]
    broken = rows.pop(2)
    assert "photos/broken.png: not a readable picture" in broken["error"]
    assert broken["score"] == ""
    assert all(0 <= float(row["score"]) <= 1 and row["error"] == "" for row in rows)
    for kind in ("heatmap", "overlay"):
        assert Image.open(f"out/a.png.{kind}.png").size == (40, 30)
        assert Image.open(f"out/a.jpg.{kind}.png").size == (31, 57)
        assert Image.open(f"out/deep/alpha.PNG.{kind}.png").size == (64, 16)


def test_a_single_file_and_bytes_get_the_same_score(save: Callable[..., Path]) -> None:
    noise(40, 30).save("one.png")
    predictor = load_checkpoint(save(), "cpu")
    predict_paths(predictor, [Path("one.png")], Path("out"), "object")
    with Path("out/scores.csv").open() as file:
        (row,) = csv.DictReader(file)
    result = predictor.predict(Path("one.png").read_bytes())
    assert float(row["score"]) == pytest.approx(result.score, abs=1e-6)
    assert result.map.shape == (30, 40)
    assert 0 <= result.map.min() <= result.map.max() <= 1


def test_a_photo_is_turned_upright(save: Callable[..., Path]) -> None:
    picture = noise(40, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    stored = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(stored, "PNG", exif=exif)
    upright = io.BytesIO()
    picture.save(upright, "PNG")
    turned, plain = load_checkpoint(save(), "cpu").predict_batch([stored.getvalue(), upright.getvalue()])
    assert turned.map.shape == (30, 40)
    assert turned.score == plain.score


@pytest.mark.parametrize(("path", "message"), [("nothing", "no such file or folder"), ("empty", "no pictures there")])
def test_nothing_to_score(save: Callable[..., Path], path: str, message: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError, match=f"{path}.*{message}"):
        predict_paths(load_checkpoint(save(), "cpu"), [Path(path)], Path("out"), "object")


def test_what_reads_the_target_is_not_for_use(save: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="protocol `paper`, which reads the target"):
        load_checkpoint(save(protocol="paper"), "cpu")


def test_own_words_change_scores_and_their_map(save: Callable[..., Path]) -> None:
    path = save(method="clip_zero")
    Path("words.yaml").write_text('anomalous:\n- "{} with a hole"\n- burnt {}\n')
    plain, own = zsad.load(path), zsad.load(path, states="words.yaml")
    same = zsad.load(path, states={"anomalous": ["{} with a hole", "burnt {}"]})
    picture = noise(40, 30)
    scores = [model.predict(picture, prompt_name="nut").score for model in (plain, own, same)]
    assert scores[1] == scores[2] != scores[0]
    assert (own.predict(picture).map != plain.predict(picture).map).any()


def test_own_words_of_a_configuration_travel_with_its_checkpoint(save: Callable[..., Path]) -> None:
    own = {"anomalous": ["{} with a hole"]}
    asked = zsad.load(save(method="clip_zero"), states=own).predict(noise(40, 30)).score
    assert zsad.load(save(method="clip_zero", states=own)).predict(noise(40, 30)).score == asked


def test_a_model_without_hand_written_prompts_takes_no_words(save: Callable[..., Path]) -> None:
    message = "states: anomalyclip has no hand-written prompts .*; models of clip_zero, winclip, winclip_plus have"
    with pytest.raises(UserError, match=message):
        zsad.load(save(), states={"normal": ["new {}"]})


def test_a_backbone_that_is_not_there_is_named(save: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"needs ViT-X \(openai\).*dvc repro weights"):
        load_checkpoint(save(name="ViT-X", sha256="0"), "cpu")


def test_heat_has_an_absolute_scale() -> None:
    assert heatmap(np.ones((4, 4)))[0, 0, 0] > heatmap(np.ones((4, 4)))[0, 0, 2]  # red
    assert heatmap(np.zeros((4, 4)))[0, 0].max() < 64  # dark


def test_an_overlay_shows_where_however_low_the_map() -> None:
    picture = np.asarray(noise(4, 4))
    assert (overlay(picture, np.full((4, 4), 0.3)) == picture).all()
    low = np.zeros((4, 4))
    low[1, 2] = 0.01
    changed = (overlay(picture, low) != picture).any(axis=2)
    assert changed[1, 2]
    assert changed.sum() == 1


def test_folders_with_equal_names_inside_do_not_meet(save: Callable[..., Path]) -> None:
    for folder in ("pa", "pb", "other/pa"):
        Path(folder).mkdir(parents=True)
        noise(20, 20).save(Path(folder) / "001.png")
    predictor = load_checkpoint(save(), "cpu")
    predict_paths(predictor, [Path("pa"), Path("pb")], Path("out"), "object")
    assert Path("out/pa/001.png.heatmap.png").is_file()
    assert Path("out/pb/001.png.heatmap.png").is_file()
    with pytest.raises(UserError, match="would both be written as out/pa/001.png"):
        predict_paths(predictor, [Path("pa"), Path("other/pa")], Path("out"), "object")


@pytest.mark.parametrize(
    ("out", "message"), [("photos/a.png", "is a file; name a folder"), (".", "the pictures lie inside")]
)
def test_a_place_for_results_that_will_not_do(save: Callable[..., Path], out: str, message: str) -> None:
    Path("photos").mkdir()
    noise(20, 20).save("photos/a.png")
    with pytest.raises(UserError, match=message):
        predict_paths(load_checkpoint(save(), "cpu"), [Path("photos")], Path(out), "object")


def test_earlier_output_is_no_input(save: Callable[..., Path]) -> None:
    Path("photos").mkdir()
    noise(20, 20).save("photos/a.png")
    predictor = load_checkpoint(save(), "cpu")
    for _ in range(2):
        predict_paths(predictor, [Path("photos")], Path("photos/out"), "object")
    assert len(Path("photos/out/scores.csv").read_text().splitlines()) == 2


def test_deep_grey_is_read_as_the_pipeline_reads_it(save: Callable[..., Path]) -> None:
    grey = np.random.RandomState(1).randint(0, 2**16, (30, 40)).astype(np.uint16)
    Image.fromarray(grey).save("deep.png")
    Image.fromarray((grey >> 8).astype(np.uint8)).save("plain.png")
    deep, plain = load_checkpoint(save(), "cpu").predict_batch(["deep.png", "plain.png"])
    assert deep.score == plain.score
    Image.fromarray(grey.astype(np.float32)).save("float.tif")
    with pytest.raises(UserError, match="float.tif: .*floating-point pixels"):
        load_checkpoint(save(), "cpu").predict(Path("float.tif"))
