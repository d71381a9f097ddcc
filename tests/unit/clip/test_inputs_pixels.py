"""The pixels that models see: digests for the installed Pillow, and closeness to a resize in NumPy for any other."""

import base64
import hashlib
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from zsad.clip.inputs import MEAN, STD, preprocess
from zsad.datasets.images import read_image

SIDES = (12, 40)  # smaller and larger than the pictures, which are 32 x 24 (width, height)
BLOCKS = np.random.RandomState(3).randint(0, 256, (3, 4, 3)).astype(np.uint8)
# 8 x 8 px blocks of BLOCKS, quality 100, no subsampling: stored, so that only decoding is tested.
JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"
    "EBAQEBAQH/2wBDAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/wAARCAAY"
    "ACADAREAAhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAACQgLB//EABQQAQAAAAAAAAAAAAAAAAAAAAD/xAAaAQACAgMAAAAAAAAAAAAAAAAJCg"
    "cIBAUL/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AqgcBQdVAY7cM/c5wx2hg5h6SHcEkD8A/F4D/ACgKzrkIHZBccU6L3RwP"
    "gFOXvFuswQXIg15hB//Z"
)
KINDS = ("grey", "rgb", "palette", "deep", "alpha", "jpeg")
# Pillow version → kind → first 16 hex digits of the sha256 of the inputs at all SIDES, each also with `resize_first`.
DIGESTS: dict[str, dict[str, str]] = {
    "13.0.0": {
        "grey": "793a435d60f6a811",
        "rgb": "fa0fc22bc2f7fcff",
        "palette": "1b9fc4d77d685652",
        "deep": "04cf2c30ce286970",
        "alpha": "09109276757b6d5a",
        "jpeg": "a3e417eb25958851",
    }
}


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """A file of each kind; PNG keeps pixels, so how it was compressed does not matter."""
    random = np.random.RandomState(0)
    colour = random.randint(0, 256, (24, 32, 3)).astype(np.uint8)
    palette = Image.fromarray(random.randint(0, 16, (24, 32)).astype(np.uint8), "P")
    palette.putpalette(random.randint(0, 256, 48).tolist())
    images = {
        "grey": Image.fromarray(colour[..., 0]),
        "rgb": Image.fromarray(colour),
        "palette": palette,
        "deep": Image.fromarray(random.randint(0, 65536, (24, 32)).astype(np.uint16)),
        "alpha": Image.fromarray(random.randint(0, 256, (24, 32, 4)).astype(np.uint8)),
    }
    for kind, image in images.items():
        image.save(tmp_path / f"{kind}.png")
    (tmp_path / "jpeg.jpg").write_bytes(base64.b64decode(JPEG))
    return {path.stem: path for path in tmp_path.iterdir()}


def cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -1/2."""
    x = np.abs(distance)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def shrink_rows(values: np.ndarray, side: int) -> np.ndarray:
    """Axis 0 resampled to `side`: the kernel is widened when shrinking, and cut and renormalised at the border."""
    length = values.shape[0]
    scale = length / side
    centres = (np.arange(side) + 0.5) * scale
    weights = cubic((np.arange(length) + 0.5 - centres[:, None]) / max(scale, 1.0))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(np.rint(np.tensordot(weights, values, 1)), 0, 255)


def resized(pixels: np.ndarray, side: int) -> np.ndarray:
    """RGB [H, W, 3] squashed to [side, side, 3], rounded after each direction, as Pillow does."""
    return shrink_rows(shrink_rows(pixels.astype(float).swapaxes(0, 1), side).swapaxes(0, 1), side)


def grey_values(tensor: np.ndarray) -> np.ndarray:
    """CLIP input [3, S, S] back to grey values [S, S, 3]."""
    return (tensor.transpose(1, 2, 0).astype(float) * STD + MEAN) * 255


def digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    for side in SIDES:
        for resize_first in (False, True):
            digest.update(preprocess(path, side, resize_first).astype("<f4").tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("kind", KINDS)
def test_same_pixels_for_the_same_pillow(pictures: dict[str, Path], kind: str) -> None:
    """Digests are known for one version of Pillow; every version comes within one grey value of NumPy."""
    for side in SIDES:
        result = preprocess(pictures[kind], side)
        assert result.shape == (3, side, side)
        assert np.abs(grey_values(result) - resized(read_image(pictures[kind]), side)).max() < 1.001
    stored = DIGESTS.get(PIL.__version__)
    assert stored is None or digest_of(pictures[kind]) == stored[kind]


def test_decoded_jpeg_is_within_one_grey_value(pictures: dict[str, Path]) -> None:
    wanted = np.repeat(np.repeat(BLOCKS, 8, axis=0), 8, axis=1).astype(int)
    assert np.abs(read_image(pictures["jpeg"]) - wanted).max() <= 1
