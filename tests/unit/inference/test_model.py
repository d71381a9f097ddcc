"""Any picture, one checkpoint: what a model is told, and what it makes of pictures that are stored oddly."""

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zsad
from tests.helpers.models import noise, save
from zsad.common.errors import UserError
from zsad.inference import model
from zsad.inference.calibration import Calibration
from zsad.inference.model import load_checkpoint
from zsad.inference.pictures.opening import Picture
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.run import predict_pictures

__all__ = ["save"]  # the fixture, by which pytest finds it


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


def test_a_folder_is_scored_and_drawn_as_pictures_one_by_one(save: Callable[..., Path]) -> None:
    Path("photos").mkdir()
    for number in range(5):
        noise(40 + number, 30).rotate(40 * number).save(f"photos/{number}.png")
    predictor = load_checkpoint(save(), "cpu")
    summary = predict_pictures(predictor, ["photos"], Path("out"), Options(form="jsonl", batch_size=4))
    files = sorted(Path("photos").iterdir())
    results = [predictor.predict(path) for path in files]
    table = [json.loads(line) for line in summary.table.read_text().splitlines()]
    assert [row["score"] for row in table] == pytest.approx([result.score for result in results], abs=1e-6)
    scale = predictor.scale(results)
    for path, result in zip(files, results, strict=True):
        drawn = {"heatmap": predictor.heatmap(result), "overlay": predictor.overlay(path, result, scale)}
        for kind, picture in drawn.items():
            written = np.asarray(Image.open(f"out/{path.name}.{kind}.png")).astype(int)
            assert np.abs(written - np.asarray(picture)).max() <= 6  # one of 256 colours


def test_regions_want_a_threshold(save: Callable[..., Path]) -> None:
    predictor = load_checkpoint(save(), "cpu")
    result = predictor.predict(noise(40, 30))
    with pytest.raises(UserError, match="regions: this model has no calibration; give a threshold"):
        predictor.regions(result)
    (whole,) = predictor.regions(result, 0.0)
    assert (whole.width, whole.height, whole.area) == (40, 30, 1200)
    known = Calibration("LINE3", 0.1, 0.5, float(result.map.max()) - 1e-9, (0.5,) * 9, predictor.checkpoint_sha256)
    (peak,) = predictor.calibrated(known).regions(result)
    assert peak.peak == result.map.max()
    marked = np.asarray(predictor.calibrated(known).overlay(noise(40, 30), result)) != np.asarray(noise(40, 30))
    assert marked.any(axis=2).sum() == peak.area


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


def test_deep_grey_is_read_as_the_pipeline_reads_it(save: Callable[..., Path]) -> None:
    grey = np.random.RandomState(1).randint(0, 2**16, (30, 40)).astype(np.uint16)
    Image.fromarray(grey).save("deep.png")
    Image.fromarray((grey >> 8).astype(np.uint8)).save("plain.png")
    deep, plain = load_checkpoint(save(), "cpu").predict_batch(["deep.png", "plain.png"])
    assert deep.score == plain.score
    Image.fromarray(grey.astype(np.float32)).save("float.tif")
    with pytest.raises(UserError, match="float.tif: .*floating-point pixels"):
        load_checkpoint(save(), "cpu").predict(Path("float.tif"))


@pytest.mark.filterwarnings("error")
def test_precision_reaches_the_tower_and_knows_what_it_does_not_go_with(save: Callable[..., Path]) -> None:
    path, picture = save(), noise(40, 30)
    plain, half = zsad.load(path, "cpu"), zsad.load(path, "cpu", precision="bf16")
    exact, rounded = plain.predict(picture).score, half.predict(picture).score
    assert exact != rounded == pytest.approx(exact, abs=0.02)
    known = Calibration("LINE3", 0.1, 0.5, 0.5, (0.5,) * 9, plain.checkpoint_sha256)
    with pytest.raises(UserError, match="precision bf16: calibration LINE3 was made in fp32; leave one of them out"):
        half.calibrated(known)
    with pytest.raises(UserError, match="precision 'fp8': not one of fp32, bf16, fp16"):
        zsad.load(path, precision="fp8")
    with pytest.raises(UserError, match=r"precision bf16: model\.onnx has its own; export again with --precision"):
        zsad.load("model.onnx", precision="bf16")


def test_results_of_two_precisions_are_not_mixed(save: Callable[..., Path]) -> None:
    path = save()
    noise(40, 30).save("photo.png")
    predict_pictures(zsad.load(path, "cpu"), ["photo.png"], Path("out"))
    with pytest.raises(UserError, match="precision"):
        predict_pictures(zsad.load(path, "cpu", precision="bf16"), ["photo.png"], Path("out"))


def test_a_batch_is_opened_side_by_side(save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened, right, together = [], model.open_picture, threading.Barrier(2, timeout=20)

    def both_at_once(image: Picture) -> Image.Image:
        together.wait()
        opened.append(threading.get_ident())
        return right(image)

    monkeypatch.setattr(model, "open_picture", both_at_once)
    monkeypatch.setattr("zsad.datasets.images.WORKERS", 2)
    results = list(load_checkpoint(save(), "cpu").predict_batch([noise(40, 30), noise(30, 40)], 2))
    assert [result.map.shape for result in results] == [(30, 40), (40, 30)]
    assert len(set(opened)) == 2
