"""An exported file beside the checkpoint it was made of: how far apart they are, how large and how fast.

Differences: of image scores, and of maps in [0, 1] on their grid, before they are rounded as the pipeline stores them
(a step of which is up to 1.8e-4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zsad.common.errors import UserError
from zsad.common.timing import in_turn
from zsad.inference.export.runtime import squares
from zsad.inference.export.sessions import Session
from zsad.inference.maps import sigmoid
from zsad.inference.model import Predictor

SCORE_LIMIT, MAP_LIMIT = 1e-5, 1e-4  # of fp32 files
DRAWN, DRAWN_SIDE = 5, 240
RUNS = 5  # of each, in turn; the median counts


@dataclass(frozen=True)
class Measured:
    """score, map: largest differences over `pictures`; ms, ms_checkpoint: milliseconds a picture, one at a time."""

    score: float
    map: float
    pictures: int
    ms: float
    ms_checkpoint: float

    def check(self, where: str) -> None:
        """UserError where a file in single precision is further from PyTorch than it may be."""
        if self.score > SCORE_LIMIT or self.map > MAP_LIMIT:
            raise UserError(
                f"{where}: differs from PyTorch by {self.score:.1e} in scores and {self.map:.1e} in maps, more than"
                f" {SCORE_LIMIT:.0e} and {MAP_LIMIT:.0e}; no file is left; try another --to"
            )


def measure(
    session: Session, predictor: Predictor, pictures: Sequence[Image.Image], name: str, batch: int = 4
) -> Measured:
    """Both on the same RGB pictures: the first alone, the rest in batches. name: class name for prompts."""
    category, side = session.description.category, session.description.image_size
    parts = [pictures[:1], *(pictures[i : i + batch] for i in range(1, len(pictures), batch))]
    pairs = [(session.run(squares(part, side)), predictor.scored(part, category, name)) for part in parts]
    first = pictures[:1]
    works = {
        "file": lambda: session.run(squares(first, side)),
        "checkpoint": lambda: predictor.scored(first, category, name),
    }
    times = in_turn(works, RUNS, warm=True)
    return Measured(
        score=max(float(np.abs(own[0] - torch[0]).max()) for own, torch in pairs),
        map=max(float(np.abs(_map(own[1]) - _map(torch[1])).max()) for own, torch in pairs),
        pictures=len(pictures),
        ms=1000 * times["file"].median,
        ms_checkpoint=1000 * times["checkpoint"].median,
    )


def drawn_pictures() -> list[Image.Image]:
    """Pictures to compare with when there are no others: noise of several scales with a spot in it, always the same."""
    made = []
    for number in range(DRAWN):
        rng = np.random.RandomState(number)
        grain = Image.fromarray(rng.randint(0, 256, (4 + 12 * number, 4 + 12 * number, 3), dtype=np.uint8))
        pixels = np.asarray(grain.resize((DRAWN_SIDE, DRAWN_SIDE), Image.Resampling.BICUBIC)).copy()
        top, left = rng.randint(0, DRAWN_SIDE - 40, 2)
        pixels[top : top + 40, left : left + 20 + 5 * number] = rng.randint(0, 256, 3)
        made.append(Image.fromarray(pixels))
    return made


def _map(logits: np.ndarray) -> np.ndarray:
    return sigmoid(np.asarray(logits, dtype=np.float64))
