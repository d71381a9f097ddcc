"""Pictures from disk to arrays: decode and convert to RGB."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from zsad.common.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
ORIENTATION_TAG = 0x0112  # EXIF
WORKERS = min(os.cpu_count() or 1, 8)  # threads that decode
T = TypeVar("T")
R = TypeVar("R")

# What Pillow raises on broken or hostile files, besides OSError (which covers unknown and truncated ones).
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_image(path: Path) -> np.ndarray:
    """The picture as uint8 RGB [H, W, 3]; grey, palette, 16-bit and alpha pictures are converted, alpha dropped.

    Raises UserError naming the file when it cannot be decoded. EXIF rotation is not applied: masks follow the file.
    """
    return np.asarray(to_rgb(decode(path)))


def is_rotated_by_exif(path: Path) -> bool:
    """Whether viewers would turn the picture (EXIF orientation other than 1), while its pixels are used as stored."""
    with Image.open(path) as image:
        return image.getexif().get(ORIENTATION_TAG, 1) != 1


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`work` of each item, in order. Decoding releases the interpreter lock, so threads use all cores."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, items))


def decode(path: Path) -> Image.Image:
    """The picture as stored; UserError naming the file when it cannot be decoded."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except DECODE_ERRORS as error:
        raise UserError(f"{path}: not a readable picture ({error}); replace or remove it") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any 8-bit or 16-bit picture as RGB, alpha dropped. ValueError for floating-point pixels."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would cut everything above 255
        image = Image.fromarray(np.minimum(np.asarray(image, dtype=np.int64) >> 8, 255).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")
