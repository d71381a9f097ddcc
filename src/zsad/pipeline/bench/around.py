"""What is done to a picture beside the model: decoding, its map at full size, counting its pixels."""

import io
from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image

from zsad.clip.inputs import to_input
from zsad.common.timing import Work
from zsad.evaluation.metrics.histogram import PixelHistogram, truth_of
from zsad.inference.maps import encode_logits, full_map
from zsad.inference.render import heatmap

SIDE = 1024  # pixels of the picture
GRID = 37  # patches of ViT-L/14 at 518 px
SIGMA = 4 / 518  # of most methods


def around(input_side: int) -> Mapping[str, Work]:
    """Each step for one picture of 1024 × 1024 pixels."""
    random = np.random.default_rng(0)
    pixels = cv2.resize(random.integers(0, 256, (64, 64, 3), dtype=np.uint8), (SIDE, SIDE))
    jpeg, png = (_encoded(pixels, kind) for kind in ("JPEG", "PNG"))
    codes = encode_logits(random.normal(-4, 2, (GRID, GRID)))
    whole = full_map(codes, (SIDE, SIDE), "bilinear", SIGMA)
    truth = truth_of(whole > np.quantile(whole, 0.98))

    def read(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as picture:
            to_input(picture, input_side)

    return {
        "decode a JPEG, resize": lambda: read(jpeg),
        "decode a PNG, resize": lambda: read(png),
        "its map at full size": lambda: full_map(codes, (SIDE, SIDE), "bilinear", SIGMA),
        "the map in colour": lambda: heatmap(whole),
        "count its pixels for metrics": lambda: PixelHistogram().add(whole, truth),
    }


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()
