"""`import zsad` as a notebook uses it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zsad
from tests.helpers.models import noise, save
from zsad.evaluation.metrics.names import METRICS

__all__ = ["save"]  # the fixture, by which pytest finds it


def test_a_heatmap_in_three_lines(save: Callable[..., Path]) -> None:
    noise(40, 30).save("photo.png")
    model = zsad.load(save(), device="cpu")
    result = model.predict("photo.png")
    shown = model.overlay("photo.png", result)
    assert isinstance(result, zsad.Result)
    assert 0 <= result.score <= 1
    assert result.map.shape == (30, 40)
    assert (result.label, result.threshold) == (None, None)
    assert model.heatmap(result).size == shown.size == (40, 30)
    assert np.ptp(np.asarray(shown)) > 0


def test_a_picture_in_every_form_gets_the_same_score(save: Callable[..., Path]) -> None:
    picture = noise(40, 30)
    picture.save("photo.png")
    forms = ["photo.png", Path("photo.png"), Path("photo.png").read_bytes(), picture, np.asarray(picture)]
    model = zsad.load(str(save()), device="cpu")
    scores = [model.predict(form).score for form in forms]
    assert scores == [scores[0]] * 5
    grey = np.asarray(picture.convert("L"))
    assert model.predict(grey).score == model.predict(Image.fromarray(grey)).score


def test_batches_change_no_score_and_take_pictures_as_they_come(save: Callable[..., Path]) -> None:
    pixels = np.random.RandomState(3).randint(0, 256, (5, 24, 32, 3), dtype=np.uint8)
    model, taken = zsad.load(save(), device="cpu"), []

    def camera():  # type: ignore[no-untyped-def]
        for number, one in enumerate(pixels):
            taken.append(number)
            yield one

    results = model.predict_batch(camera(), batch_size=2)
    first = next(results)
    assert taken == [0, 1]
    rest = list(results)
    alone = [model.predict(one) for one in pixels]
    for batched, single in zip([first, *rest], alone, strict=True):
        assert batched.score == pytest.approx(single.score, abs=1e-6)
        np.testing.assert_allclose(batched.map, single.map, atol=1e-3)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 4, 3)), r"an array must be uint8 \[H, W, 3\] .* this one is float64 \[4, 4, 3\]"),
        (np.zeros((4, 4, 4), np.uint8), r"this one is uint8 \[4, 4, 4\]"),
        (np.zeros((0, 5), np.uint8), r"this one is uint8 \[0, 5\]"),
        (Image.fromarray(np.zeros((4, 4), np.float32)), "floating-point pixels"),
        (b"no picture", "picture: not a readable picture"),
        ("nothing.png", r"nothing\.png: not a readable picture"),
    ],
)
def test_what_is_no_picture_is_told(save: Callable[..., Path], picture: object, message: str) -> None:
    with pytest.raises(zsad.UserError, match=message):
        zsad.load(save(), device="cpu").predict(picture)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cops", "cops: no model; write models:/KEY@champion"),
        ("nothing.safetensors", r"nothing\.safetensors: no such file"),
    ],
)
def test_what_is_no_model_is_told(name: str, message: str) -> None:
    with pytest.raises(zsad.UserError, match=message):
        zsad.load(name)


def test_what_cannot_be_asked_is_told(save: Callable[..., Path]) -> None:
    with pytest.raises(zsad.UserError, match="device 'gpu': not one of auto, cpu, cuda"):
        zsad.load(save(), device="gpu")
    model = zsad.load(save(), device="cpu")
    with pytest.raises(zsad.UserError, match="batch_size 0: at least 1"):
        next(model.predict_batch([noise(8, 8)], batch_size=0))
    with pytest.raises(zsad.UserError, match=r"a map \(30, 40\) is not of a picture \(8, 8\)"):
        model.overlay(noise(8, 8), model.predict(noise(40, 30)))
    with pytest.raises(zsad.UserError, match=r"evaluate: aupro_fpr_limit: .*got 0\.0"):
        zsad.evaluate(model, ".", aupro_fpr_limit=0)


def test_a_folder_is_evaluated(save: Callable[..., Path]) -> None:
    for category, sides in (("nut", "ab"), ("bolt", "ac")):
        for kind, name in (("good", sides[0]), ("bent", sides[1])):
            place = Path(f"parts/{category}/test/{kind}")
            place.mkdir(parents=True)
            noise(48, 48).rotate(90 * ord(name)).save(place / f"{name}.png")
    mask = np.zeros((48, 48), np.uint8)
    mask[8:24, 8:24] = 255
    place = Path("parts/nut/ground_truth/bent")
    place.mkdir(parents=True)
    Image.fromarray(mask).save(place / "b_mask.png")
    table = zsad.evaluate(zsad.load(save(), device="cpu"), "parts")
    assert list(table.index) == ["bolt", "nut", "mean"]
    assert list(table.columns) == ["n_images", "n_anomalous", *METRICS]
    assert list(table["n_images"]) == [2, 2, 4]
    assert table["pixel_auroc"].isna().all()  # one of the anomalous pictures has no mask
    assert table["image_auroc"].between(0, 1).all()
    place = Path("parts/bolt/ground_truth/bent")
    place.mkdir(parents=True)
    Image.fromarray(mask).save(place / "c_mask.png")
    table = zsad.evaluate(zsad.load(save(), device="cpu"), "parts", resolution=24)
    assert table.loc["mean", "pixel_auroc"] == pytest.approx(table["pixel_auroc"][:2].mean())
    with pytest.raises(zsad.UserError, match="nowhere"):
        zsad.evaluate(zsad.load(save(), device="cpu"), "nowhere")


def test_a_few_shot_model_is_evaluated_on_its_own_categories(save: Callable[..., Path]) -> None:
    for category in ("nut", "bolt"):
        for kind in ("good", "bent"):
            place = Path(f"parts/{category}/test/{kind}")
            place.mkdir(parents=True)
            noise(48, 48).save(place / "a.png")
    learner = zsad.load(save(), device="cpu").learners[""]
    table = zsad.evaluate(zsad.Predictor({"nut": learner, "cup": learner}), "parts")
    assert list(table.index) == ["nut", "mean"]
    assert list(table["n_images"]) == [2, 2]
    with pytest.raises(zsad.UserError, match="has bolt, nut, but this few-shot model was adapted to: cup"):
        zsad.evaluate(zsad.Predictor({"cup": learner}), "parts")


def test_the_interface_is_what_it_says() -> None:
    assert sorted(dir(zsad)) == sorted(zsad.__all__)
    assert all(hasattr(zsad, name) for name in zsad.__all__)
    with pytest.raises(AttributeError, match="no attribute 'predict'"):
        zsad.predict  # noqa: B018
