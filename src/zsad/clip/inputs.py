"""Pictures as CLIP takes them: squashed to a square, normalised by CLIP's mean and standard deviation."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from zsad.datasets.images import WORKERS, decode, to_rgb

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures (OpenAI), RGB
STD = (0.26862954, 0.26130258, 0.27577711)


def preprocess(path: Path, side: int, resize_first: bool = False) -> np.ndarray:
    """The picture as CLIP input, float32 [3, side, side]: squashed by Pillow's bicubic, then CLIP mean and std.

    `resize_first` resizes before converting to RGB, as the official codes do; palette and alpha pictures then differ.
    """
    return to_input(decode(path), side, resize_first)


def to_input(image: Image.Image, side: int, resize_first: bool = False) -> np.ndarray:
    """A decoded picture as CLIP input, as `preprocess`."""
    return normalised(to_pixels(image, side, resize_first))


def read_pixels(path: Path, side: int, resize_first: bool = False) -> np.ndarray:
    """What `preprocess` gives before CLIP's mean and std: float32 RGB [3, side, side] in [0, 1]."""
    return to_pixels(decode(path), side, resize_first)


def to_pixels(image: Image.Image, side: int, resize_first: bool = False) -> np.ndarray:
    """A decoded picture as float32 RGB [3, side, side] in [0, 1]."""
    pixels = to_square(image, side, resize_first).astype(np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) / np.float32(255)


def to_square(image: Image.Image, side: int, resize_first: bool = False) -> np.ndarray:
    """A decoded picture squashed by Pillow's bicubic, uint8 RGB [side, side, 3]."""
    if not resize_first:
        image = to_rgb(image)
    return np.asarray(to_rgb(image.resize((side, side), Image.Resampling.BICUBIC)))


def normalised(pixels: np.ndarray) -> np.ndarray:
    """RGB [..., 3, H, W] in [0, 1] → CLIP input, float32."""
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std


def iterate_images(
    paths: Sequence[Path], side: int, batch: int, resize_first: bool = False, workers: int = WORKERS
) -> Generator[tuple[range, np.ndarray], None, None]:
    """Batches (indices into `paths`, float32 [b, 3, side, side]) in order, decoded in threads.

    At most two batches are decoded ahead, so memory does not grow with the number of pictures.
    """
    load = partial(preprocess, side=side, resize_first=resize_first)
    pending: deque[Future[np.ndarray]] = deque()
    submitted = 0
    pool = ThreadPoolExecutor(workers)
    try:
        for start in range(0, len(paths), batch):
            indices = range(start, min(start + batch, len(paths)))
            while submitted < min(start + 3 * batch, len(paths)):
                pending.append(pool.submit(load, paths[submitted]))
                submitted += 1
            yield indices, np.stack([pending.popleft().result() for _ in indices])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
