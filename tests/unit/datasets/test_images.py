"""Decoding, preprocessing and masks: against Pillow, against slow literal forms, and on unfit files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from zsad.common.errors import UserError
from zsad.datasets.images import read_image
from zsad.datasets.masks import read_mask, resize_mask_area, resize_mask_paper


def save(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_every_mode_is_read_as_rgb(tmp_path: Path, colour: np.ndarray, mode: str) -> None:
    path = save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), colour, mode)
    pixels = read_image(path)
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.asarray(Image.open(path).convert("RGB")))


def test_alpha_is_dropped_not_blended(tmp_path: Path, colour: np.ndarray) -> None:
    transparent = np.dstack([colour, np.zeros((20, 30), dtype=np.uint8)])
    assert np.array_equal(read_image(save(tmp_path / "a.png", transparent)), colour)


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    pixels = read_image(save(tmp_path / "a.png", ramp))
    assert np.array_equal(pixels[..., 0], (ramp >> 8).astype(np.uint8))


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x89PNG\r\n\x1a\nbroken"])
def test_non_image_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.png: not a readable picture"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_truncated_file_names_the_file(tmp_path: Path, colour: np.ndarray, suffix: str) -> None:
    path = save(tmp_path / f"cut.{suffix}", np.tile(colour, (5, 5, 1)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"cut\.{suffix}"):
        read_image(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")


def test_mask_rules(tmp_path: Path) -> None:
    grey = np.array([[0, 1, 127], [128, 200, 255]], dtype=np.uint8)
    path = save(tmp_path / "m.png", grey)
    assert np.array_equal(read_mask(path, (3, 2), "gt127"), grey > 127)
    assert np.array_equal(read_mask(path, (3, 2), "nonzero"), grey > 0)


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", np.full((4, 6), 255, dtype=np.uint8))
    with pytest.raises(UserError, match=r"m\.png: mask is 6 x 4, its picture 5 x 4"):
        read_mask(path, (5, 4), "gt127")


def test_mask_coded_zero_one_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", np.eye(4, dtype=np.uint8))
    with pytest.raises(UserError, match=r"m\.png: largest mask value is 1; masks must be 0 .* and 255"):
        read_mask(path, (4, 4), "gt127")
    assert read_mask(path, (4, 4), "nonzero").sum() == 4


def test_rgb_and_sixteen_bit_masks(tmp_path: Path) -> None:
    wanted = np.eye(4, dtype=bool)
    rgb = save(tmp_path / "rgb.png", np.repeat(wanted[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255))
    deep = save(tmp_path / "deep.png", wanted.astype(np.uint16) * np.uint16(65535))
    assert np.array_equal(read_mask(rgb, (4, 4), "gt127"), wanted)
    assert np.array_equal(read_mask(deep, (4, 4), "gt127"), wanted)


def literal_area(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Exact coverage by splitting every native pixel until both grids fit."""
    width, height = size
    fine = np.repeat(np.repeat(mask, height, axis=0), width, axis=1)
    blocks = fine.reshape(height, mask.shape[0], width, mask.shape[1])
    return 2 * blocks.sum(axis=(1, 3)) >= mask.size


@pytest.mark.parametrize("size", [(7, 5), (10, 10), (13, 4), (20, 16), (33, 40)])
def test_area_reduction_matches_the_literal_form(size: tuple[int, int]) -> None:
    mask = np.zeros((16, 20), dtype=bool)
    mask[3:12, 5:17] = True
    assert np.array_equal(resize_mask_area(mask, size), literal_area(mask, size))


def test_no_region_disappears() -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[10, 10] = mask[50, 90] = mask[51, 91] = mask[99, 0] = True
    mask[70:90, 20:60] = True
    small = resize_mask_area(mask, (10, 10))
    assert small[1, 1]
    assert small[5, 9]
    assert small[9, 0]
    assert np.array_equal(small[7:9, 2:6], np.ones((2, 4), dtype=bool))
    assert small.sum() == 3 + 8


@pytest.mark.parametrize("seed", range(6))
def test_every_region_of_random_masks_stays(seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random((61, 47)) < 0.03
    mask[20:40, 10:30] |= generator.random((20, 20)) < 0.6
    width, height = (int(side) for side in generator.integers(6, 60, 2))
    small = resize_mask_area(mask, (width, height))
    assert np.array_equal(small | literal_area(mask, (width, height)), small)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    fine = np.repeat(np.repeat(labels, height, axis=0), width, axis=1)
    kept = np.repeat(np.repeat(small, mask.shape[0], axis=0), mask.shape[1], axis=1)
    assert set(np.unique(fine[kept])) | {0} == set(range(count))


def test_empty_and_full_masks() -> None:
    assert not resize_mask_area(np.zeros((9, 9), dtype=bool), (4, 4)).any()
    assert resize_mask_area(np.ones((9, 9), dtype=bool), (4, 4)).all()


def test_paper_rule_takes_everything_above_zero(tmp_path: Path) -> None:
    grey = np.zeros((8, 8), dtype=np.uint8)
    grey[2:6, 2:6] = 3
    path = save(tmp_path / "m.png", grey)
    binary = Image.fromarray((grey > 0).astype(np.uint8) * np.uint8(255))
    expected = np.asarray(binary.resize((12, 12), Image.Resampling.BILINEAR)) / 255 > 0.5
    assert np.array_equal(resize_mask_paper(path, 12), expected)
