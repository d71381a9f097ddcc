"""The demo benchmark: four sets of pictures with exact masks, drawn by integer arithmetic: the same everywhere."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from zsad.datasets.demo import demo_set
from zsad_synthetic.demo.canvas import finish, finish_mask
from zsad_synthetic.demo.integer_math import Dice
from zsad_synthetic.demo.sets import CLASSES, DEFECTS, SETS, Category

__all__ = ["CLASSES", "DEFECTS", "draw", "generate", "pictures"]

SMALLEST_MASK = 8  # pixels; a defect that shows less (it fell behind an opening) is drawn again


def generate(key: str, directory: Path, seed: int = 0) -> None:
    """Draw the demo set `key` into `directory` in the layout of MVTec AD; another `seed` gives another benchmark.

    UserError with the list of demo sets when there is none of that name.
    """
    for category in demo_set(key).categories:
        for place, picture, mask in pictures(key, category, seed):
            _save(directory / category / f"{place}.png", picture)
            if mask is not None:
                _save(directory / category / f"{place.replace('test', 'ground_truth', 1)}_mask.png", mask)
        print(f"{key}: {category} drawn", file=sys.stderr, flush=True)


def pictures(key: str, category: str, seed: int = 0) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
    """The pictures of a category: (place such as test/snag/003, picture, mask or None if normal).

    Pictures are uint8 [128, 128, 3], or [128, 128] where the category is grey; masks uint8 [128, 128], 0 or 255.
    """
    drawn = SETS[key][category]
    train, normal, anomalous = demo_set(key).expected
    defects = [drawn.defects[number % len(drawn.defects)] for number in range(anomalous)]
    wanted = [("train/good", "")] * train + [("test/good", "")] * normal + [(f"test/{name}", name) for name in defects]
    count: dict[str, int] = {}
    for folder, defect in wanted:
        number = count[folder] = count.get(folder, -1) + 1
        yield f"{folder}/{number:03d}", *draw(drawn, defect, seed, category, folder, number)


def draw(category: Category, defect: str, *names: object) -> tuple[np.ndarray, np.ndarray | None]:
    """One picture and its mask (None for a normal one); `names` are all that its random numbers depend on."""
    for attempt in range(100):
        dice = Dice(*names, attempt)
        canvas, coverage = category.draw(dice, defect)
        picture, mask = finish(dice, canvas), finish_mask(coverage)
        if category.grey:
            picture = (picture.sum(axis=2, dtype=np.int32) // 3).astype(np.uint8)
        if not defect:
            return picture, None
        if np.count_nonzero(mask) >= SMALLEST_MASK:
            return picture, mask
    raise RuntimeError(f"{defect} never shows in {category.draw.__name__}")


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
