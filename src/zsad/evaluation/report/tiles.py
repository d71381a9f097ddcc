"""Small pictures inside the page: WebP as data URIs, the true region outlined, a map laid over."""

import base64
import io

import cv2
import numpy as np
from PIL import Image

from zsad.datasets.images import read_image
from zsad.datasets.manifest import Manifest, Row
from zsad.datasets.masks import read_mask
from zsad.inference.maps import Floats
from zsad.inference.render import Scale, overlay

SIDE = 128  # pixels of a tile
QUALITY = 72
TRUE_REGION = (0, 230, 64)  # RGB


def picture_tile(manifest: Manifest, row: Row) -> np.ndarray:
    """A picture as RGB [SIDE,SIDE,3], squashed as learners see it."""
    return cv2.resize(read_image(manifest.root / row.path), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def outlined(tile: np.ndarray, manifest: Manifest, row: Row) -> np.ndarray:
    """The tile with the border of its true region, where the picture has a mask."""
    if not row.mask:
        return tile
    mask = read_mask(manifest.root / row.mask, (row.width, row.height), manifest.mask_rule).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    scale = np.array([SIDE / row.width, SIDE / row.height])
    small = [np.rint(contour * scale).astype(np.int32) for contour in contours]
    return cv2.drawContours(tile.copy(), small, -1, TRUE_REGION, 1, cv2.LINE_AA)


def overlaid(tile: np.ndarray, map_HW: Floats, low: float, high: float) -> np.ndarray:
    """A map [SIDE,SIDE] over the tile, in colours from `low` (none) to `high` (red): one scale for many pictures."""
    return overlay(tile, map_HW, Scale(low, high))


def data_uri(tile: np.ndarray) -> str:
    """The tile as a WebP that needs no file."""
    buffer = io.BytesIO()
    Image.fromarray(tile).save(buffer, "WEBP", quality=QUALITY, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
