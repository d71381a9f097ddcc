"""A calibration: the threshold of one model for a chosen rate of false alarms, from scores of normal pictures.

It belongs to a checkpoint, by hash, and to what the model was told: category and class name. As a file it lies beside a
checkpoint, `<stem>.<name>.calibration.json`. How a rate becomes a threshold: `conformal`. Loads no torch.
"""

import glob
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zsad.common.errors import UserError
from zsad.common.io import write_json
from zsad.inference.conformal import mean_rate, rank, rate_interval

FORMAT = 1
KEPT = 2001  # scores kept of more pictures than that: percentiles to 0.05 %, and 45 kB of text, which any store takes
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SUFFIX = ".calibration.json"


@dataclass(frozen=True)
class Calibration:
    """Threshold and normal scores of one model. A score above the threshold is an alarm; one that equals it is none.

    name: such as LINE3; false_alarms: α, the share of normal pictures that may be called anomalous.
    threshold: of scores; pixel_threshold: of maps, by the largest value of each normal picture: a region is where
    map > pixel_threshold, and at most a share α of normal pictures has one.
    scores: of the normal pictures, ascending; checkpoint_sha256: of the model.
    category, prompt_name: what the model was told, "" and None for nothing.
    thinned_from: how many pictures there were, where `scores` keeps only evenly spaced ranks of them.
    """

    name: str
    false_alarms: float
    threshold: float
    pixel_threshold: float
    scores: tuple[float, ...]
    checkpoint_sha256: str
    category: str = ""
    prompt_name: str | None = None
    thinned_from: int | None = None

    @property
    def n(self) -> int:
        """Number of normal pictures."""
        return self.thinned_from or len(self.scores)

    @property
    def rank(self) -> int:
        """The threshold is the so many-th smallest of the n scores."""
        return rank(self.n, self.false_alarms)

    @property
    def expected(self) -> float:
        """The false-alarm rate to be expected: at most `false_alarms`."""
        return mean_rate(self.n, self.rank)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Where the realised false-alarm rate lies for this share of draws of n normal pictures."""
        return rate_interval(self.n, self.rank, level)

    def label(self, score: float) -> int:
        """1 anomalous, 0 normal."""
        return int(score > self.threshold)

    def percentile(self, score: float) -> float:
        """Share of the normal pictures with a score of at most this one, in [0, 100]."""
        below = bisect_right(self.scores, score)
        if not below or not self.thinned_from:
            return 100 * below / self.n
        return 100 * (_rank_kept(below - 1, len(self.scores), self.n) + 1) / self.n

    def check_model(self, checkpoint_sha256: str) -> None:
        """UserError unless it was made with the model of this checkpoint."""
        if checkpoint_sha256 != self.checkpoint_sha256:
            model = f"the model is {checkpoint_sha256[:12]}" if checkpoint_sha256 else "the model has none"
            raise UserError(
                f"calibration {self.name}: made for checkpoint {self.checkpoint_sha256[:12]}, and {model}; "
                "calibrate this one: `zsad calibrate`"
            )

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is not set is left out."""
        told = {name: value for name, value in asdict(self).items() if value not in (None, "")}
        return {"format": FORMAT, **told, "scores": list(self.scores)}

    @staticmethod
    def from_dict(told: Any, where: str = "calibration") -> "Calibration":
        """What `as_dict` gave; UserError that begins with `where` for anything else."""
        broken = f"{where}: not a calibration of this version of zsad; delete it and run `zsad calibrate` again"
        if not isinstance(told, Mapping) or told.get("format") != FORMAT or not isinstance(told.get("scores"), list):
            raise UserError(broken)
        values = {name: value for name, value in told.items() if name != "format"}
        try:
            found = Calibration(**{**values, "scores": tuple(map(float, values["scores"]))})
            whole = _is_whole(found)
        except (TypeError, ValueError, UserError):
            raise UserError(broken) from None
        if not whole:
            raise UserError(broken)
        return found


def calibrate(
    name: str,
    false_alarms: float,
    scores: Sequence[float],
    peaks: Sequence[float],
    *,
    checkpoint_sha256: str,
    category: str = "",
    prompt_name: str | None = None,
) -> Calibration:
    """The calibration by n normal pictures: their scores and the largest values of their maps, in the same order.

    UserError when n is too small for α; more than 2,001 scores are thinned, after the thresholds are taken.
    """
    check_name(name)
    ascending, n = np.sort(np.asarray(scores, dtype=np.float64)), len(scores)
    if not np.isfinite(ascending).all():
        raise ValueError("normal scores must be finite numbers")
    k = rank(n, false_alarms)
    kept = ascending if n <= KEPT else ascending[[_rank_kept(j, KEPT, n) for j in range(KEPT)]]
    return Calibration(
        name=name,
        false_alarms=float(false_alarms),
        threshold=float(ascending[k - 1]),
        pixel_threshold=float(np.partition(np.asarray(peaks, dtype=np.float64), k - 1)[k - 1]),
        scores=tuple(kept.tolist()),
        checkpoint_sha256=checkpoint_sha256,
        category=category,
        prompt_name=prompt_name,
        thinned_from=n if n > KEPT else None,
    )


def check_name(name: str) -> None:
    """UserError for a name that cannot stand in a file's name and in a tag."""
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name!r}: letters, digits, _ and - only, at most 64, such as LINE3")


def beside(checkpoint: Path, name: str) -> Path:
    """The calibration's file next to a checkpoint file."""
    return checkpoint.with_name(f"{checkpoint.stem}.{name}{SUFFIX}")


def read_all_beside(checkpoint: Path) -> dict[str, Calibration]:
    """Those that lie next to a checkpoint file, by name."""
    return read_all(checkpoint.parent, f"{glob.escape(checkpoint.stem)}.*")


def read_all(folder: Path, stem: str = "*") -> dict[str, Calibration]:
    """By name, those of the files in a folder whose names begin so, as a pattern."""
    found = map(read_calibration, sorted(folder.glob(f"{stem}{SUFFIX}")))
    return {one.name: one for one in found}


def read_calibration(path: Path) -> Calibration:
    """UserError that names the file when there is no calibration in it."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        told = None
    return Calibration.from_dict(told, str(path))


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write it whole or not at all."""
    write_json(path, calibration.as_dict())


def _rank_kept(j: int, kept: int, n: int) -> int:
    """Of which rank, from 0, the j-th kept score is: the first and the last are kept."""
    return j * (n - 1) // (kept - 1)


def _is_whole(one: Calibration) -> bool:
    """Whether the parts of what was read belong together: a threshold that was edited has no rate."""
    ascending = all(a <= b for a, b in zip(one.scores, one.scores[1:], strict=False))
    place, slack, count = one.rank / one.n, 2 / KEPT if one.thinned_from else 0, len(one.scores)
    low, high = bisect_left(one.scores, one.threshold), bisect_right(one.scores, one.threshold)
    between = low / count - slack < place <= high / count + slack
    texts = all(isinstance(value, str) for value in (one.name, one.checkpoint_sha256, one.category))
    return ascending and between and texts and isinstance(one.pixel_threshold, float)
