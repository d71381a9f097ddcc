"""Ground-truth masks: read by the set's rule, brought to another size so that no region disappears."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from zsad.common.errors import UserError
from zsad.datasets.images import decode

FOREGROUND_ABOVE = {"gt127": 127, "nonzero": 0}  # mask rule → largest grey value of the background


def read_mask(path: Path, size: tuple[int, int], rule: str) -> np.ndarray:
    """A ground-truth mask as bool [H, W] for a picture of `size` (width, height).

    `rule` gt127: foreground is grey value > 127; nonzero: > 0 (masks that hold class numbers).
    Raises UserError when the size differs, or when the mask has pixels set of which the rule keeps none.
    """
    grey = _grey(path)
    if grey.shape != (size[1], size[0]):
        found = f"{grey.shape[1]} x {grey.shape[0]}"
        raise UserError(f"{path}: mask is {found}, its picture {size[0]} x {size[1]} pixels; give both the same size")
    mask = grey > FOREGROUND_ABOVE[rule]
    if grey.any() and not mask.any():
        raise UserError(f"{path}: largest mask value is {grey.max()}; masks must be 0 (normal) and 255 (anomalous)")
    return mask


def mask_is_marked(path: Path, rule: str) -> bool:
    """Whether any pixel of a mask is foreground, whatever its size; `rule` as in `read_mask`."""
    return bool((_grey(path) > FOREGROUND_ABOVE[rule]).any())


def resize_mask_area(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask bool [H, W] at `size` (w, h), bool [h, w], from which no region disappears.

    A target pixel is foreground if at least half of its area is; every 8-connected region of the mask that would
    be lost this way keeps its best-covered pixel. Integer arithmetic: the same on every machine.
    """
    width, height = size
    if mask.shape == (height, width):
        return mask.astype(bool)
    small = 2 * _coverage(mask, height, width) >= mask.size
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    kept = np.unique(labels[_enlarge(small, mask.shape)])
    for label in np.setdiff1d(np.arange(1, count), kept):
        covered = _coverage(labels == label, height, width)
        if not (small & (covered > 0)).any():
            small.flat[covered.argmax()] = True
    return small


def resize_mask_paper(path: Path, side: int) -> np.ndarray:
    """A mask bool [side, side] by the official codes' rule: value > 0, Pillow bilinear on 0/255, cut at one half."""
    binary = Image.fromarray((_grey(path) > 0).astype(np.uint8) * np.uint8(255))
    return np.asarray(binary.resize((side, side), Image.Resampling.BILINEAR)) > 127


def _coverage(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Area of the foreground in each target pixel, int64 [height, width], in units of 1 / mask.size target pixel."""
    return _shrink(_shrink(mask.astype(np.int64), height).T, width).T


def _shrink(values: np.ndarray, target: int) -> np.ndarray:
    """Integrals over `target` equal stretches of axis 0, times `target`: differences of the running integral."""
    edge, part = np.divmod(np.arange(target + 1) * values.shape[0], target)
    running = np.pad(np.cumsum(values, axis=0), ((1, 0), (0, 0)))
    padded = np.pad(values, ((0, 1), (0, 0)))
    return np.diff(running[edge] * target + padded[edge] * part[:, None], axis=0)


def _enlarge(small: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`small` at the native shape: each native pixel takes the target pixel in which it begins."""
    rows, columns = (np.arange(native) * target // native for native, target in zip(shape, small.shape, strict=True))
    return small[rows[:, None], columns]


def _grey(path: Path) -> np.ndarray:
    """Grey values uint8 [H, W]; 16-bit values are rounded up, so that what was set stays set."""
    image = decode(path)
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.int64)
        return np.minimum((values + 255) >> 8, 255).astype(np.uint8)
    return np.asarray(image if image.mode == "L" else image.convert("L"))
