"""Pictures as CLIP takes them: against Pillow, in order, and few at once."""

from pathlib import Path
from threading import Lock
from time import sleep

import numpy as np
import pytest
from PIL import Image

from zsad.clip import inputs
from zsad.clip.inputs import MEAN, STD, iterate_images, preprocess
from zsad.common.errors import UserError


def save(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_preprocess_follows_pillow_bicubic(tmp_path: Path, colour: np.ndarray) -> None:
    path = save(tmp_path / "a.png", colour)
    resized = np.asarray(Image.fromarray(colour).resize((16, 16), Image.Resampling.BICUBIC)) / 255
    expected = ((resized - MEAN) / STD).transpose(2, 0, 1)
    result = preprocess(path, 16)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_resize_first_matters_for_palettes_only(tmp_path: Path, colour: np.ndarray) -> None:
    plain, palette = save(tmp_path / "a.png", colour), save(tmp_path / "b.png", colour, "P")
    assert np.array_equal(preprocess(plain, 16), preprocess(plain, 16, resize_first=True))
    assert not np.array_equal(preprocess(palette, 16), preprocess(palette, 16, resize_first=True))


@pytest.mark.parametrize("batch", [1, 3, 7, 10])
def test_iterate_gives_all_in_order(tmp_path: Path, batch: int) -> None:
    paths = [save(tmp_path / f"{i}.png", np.full((8, 8, 3), 20 * i, dtype=np.uint8)) for i in range(7)]
    indices, batches = zip(*iterate_images(paths, 8, batch), strict=True)
    assert [i for part in indices for i in part] == list(range(7))
    assert np.array_equal(np.concatenate(batches), np.stack([preprocess(path, 8) for path in paths]))


def test_iterate_stops_early_and_reports_bad_files(tmp_path: Path) -> None:
    good = save(tmp_path / "a.png", np.zeros((8, 8, 3), dtype=np.uint8))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    batches = iterate_images([good, good, bad], 8, 1)
    assert next(batches)[0] == range(1)
    batches.close()
    with pytest.raises(UserError, match=r"bad\.png"):
        list(iterate_images([good, good, bad], 8, 1))


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (2, 3), (5, 2)])
def test_few_pictures_are_held_at_once(monkeypatch: pytest.MonkeyPatch, batch: int, workers: int) -> None:
    """A slow reader: at most three batches are decoded and not yet used, and at most `workers` being decoded."""
    lock, counts = Lock(), {"decoding": 0, "most decoding": 0, "decoded": 0}

    def slow(path: Path, **options: object) -> np.ndarray:
        with lock:
            counts["decoding"] += 1
            counts["most decoding"] = max(counts["most decoding"], counts["decoding"])
        sleep(0.001)
        with lock:
            counts["decoding"] -= 1
            counts["decoded"] += 1
        return np.zeros((3, 2, 2), dtype=np.float32)

    monkeypatch.setattr(inputs, "preprocess", slow)
    most = 0
    for where, _ in iterate_images([Path("x.png")] * 41, 2, batch, workers=workers):
        sleep(0.004 * batch)
        most = max(most, counts["decoded"] - where.start)
    assert counts["decoded"] == 41
    assert most <= 3 * batch
    assert counts["most decoding"] <= workers
