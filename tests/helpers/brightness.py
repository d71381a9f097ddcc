"""A model that needs no training: how bright a picture is. It does what `Predictor` does, for tests of what is around.

As a program it predicts a folder, slowly, so that a test can kill it: python -m tests.helpers.brightness FOLDER OUT.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from zsad.inference.calibration import Calibration
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.run import predict_pictures


class Told(NamedTuple):
    """What `Result` holds, without the torch that comes with it."""

    score: float
    map: np.ndarray
    label: int | None = None
    threshold: float | None = None
    percentile: float | None = None


class Brightness:
    """score: mean grey in [0, 1]; map: each pixel's. `asked` counts pictures, `batches` their sizes."""

    def __init__(self, calibration: Calibration | None = None, seconds: float = 0.0) -> None:
        self.calibration = calibration
        self.checkpoint_sha256, self.precision = "bright", "fp32"
        self.batches: list[int] = []
        self._seconds = seconds

    @property
    def asked(self) -> int:
        return sum(self.batches)

    def category(self, category: str | None) -> str:
        return category or ""

    def prompt_name(self, category: str, asked: str | None) -> str:
        return asked or "object"

    def scored(self, batch: Sequence[Image.Image], category: str, name: str) -> tuple[np.ndarray, None]:
        return np.array([one.score for one in self.predict_batch(batch)]), None

    def predict_batch(self, images: Iterable[Image.Image], batch_size: int = 8, **_: Any) -> Iterator[Told]:
        batch = list(images)
        self.batches.append(len(batch))
        for picture in batch:
            time.sleep(self._seconds)
            map_HW = np.asarray(picture.convert("L")) / 255
            score = float(map_HW.mean())
            known = self.calibration
            labels = (known.label(score), known.threshold, known.percentile(score)) if known else ()
            yield Told(score, map_HW, *labels)


def main() -> None:
    folder, out = sys.argv[1:]
    predict_pictures(Brightness(seconds=0.05), [folder], Path(out), Options(batch_size=2))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
