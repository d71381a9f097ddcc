"""`zsad calibrate`: from normal pictures to a threshold that is kept with a model, and whether one still holds.

A calibration that is there is not replaced unawares: the same once more changes nothing, another wants `replace`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zsad.common.errors import UserError
from zsad.evaluation.metrics.image import image_metrics
from zsad.inference.calibration import Calibration, calibrate, check_name
from zsad.inference.conformal import rank
from zsad.inference.drift import SAME, Drift, compare
from zsad.inference.model import load_checkpoint
from zsad.inference.normals import SHOWN, Scores, learned_from, listed, pictures_in, score_folder
from zsad.inference.pictures.depth import check_bits
from zsad.tracking.calibrations import find, keep, of_model
from zsad.tracking.loading import find_checkpoint

SAME_MAP = 1e-3  # and a map by less, as it is stored in steps


@dataclass(frozen=True)
class Asked:
    """The model by name, the folder of its normal pictures, the name of the calibration, and what the model is told.

    bits: how many are in use in pictures of 16 bits a channel.
    """

    model: str
    folder: Path
    name: str
    category: str | None = None
    prompt_name: str | None = None
    bits: int | None = None


def make(asked: Asked, false_alarms: float, defects: Path | None = None, replace: bool = False) -> Iterator[str]:
    """Calibrate and keep it; yields what to print. defects: anomalous pictures, to tell which of them are missed."""
    check_name(asked.name)
    check_bits(asked.bits)
    normals = pictures_in(asked.folder)
    if defects is not None:
        pictures_in(defects)  # a slip in either shows before anything is scored
    rank(len(normals), false_alarms)
    checkpoint = find_checkpoint(asked.model)
    predictor, seen = load_checkpoint(checkpoint), learned_from(checkpoint)
    category, told = predictor.category(asked.category), (asked.prompt_name, asked.category)
    normal = score_folder(predictor, asked.folder, "scoring normal pictures", *told, seen, asked.bits)
    new = calibrate(
        asked.name,
        false_alarms,
        normal.scores.tolist(),
        normal.peaks.tolist(),
        checkpoint_sha256=predictor.checkpoint_sha256,
        category=category,
        prompt_name=asked.prompt_name,
    )
    yield from _described(new, normal)
    if defects is not None:
        yield from _misses(new, normal, score_folder(predictor, defects, "scoring defects", *told, bits=asked.bits))
    yield _settled(asked, checkpoint, new, replace)


def check(asked: Asked) -> Drift:
    """Today's normal pictures against the calibration of that name."""
    check_bits(asked.bits)
    checkpoint = find_checkpoint(asked.model)
    calibration = find(asked.model, checkpoint, asked.name)
    predictor, seen = load_checkpoint(checkpoint).calibrated(calibration), learned_from(checkpoint)
    told = (asked.prompt_name, asked.category)
    today = score_folder(predictor, asked.folder, "scoring today's pictures", *told, seen, asked.bits)
    return compare(calibration, today.scores)


def _described(one: Calibration, normal: Scores) -> Iterator[str]:
    low, high = one.interval()
    yield f"{one.name}: {one.n} normal pictures, at most {one.false_alarms} false alarms"
    yield f"threshold: {one.threshold:.6f}, number {one.rank} of {one.n} from below; of maps {one.pixel_threshold:.6f}"
    yield f"false alarms: {one.expected:.4f} expected; in 95 of 100 such calibrations from {low:.4f} to {high:.4f}"
    if normal.left_out:
        yield f"left out, for the model has learned from them: {listed(normal.left_out)}"
    if normal.copies:
        yield f"{len(normal.copies)} copies, which count but tell nothing new; better without: {listed(normal.copies)}"


def _misses(one: Calibration, normal: Scores, defects: Scores) -> Iterator[str]:
    """How many anomalous pictures are no alarm, those with the lowest scores first."""
    scores = np.concatenate([normal.scores, defects.scores])
    labels = np.repeat([0, 1], [len(normal.scores), len(defects.scores)])
    order = np.argsort(defects.scores, kind="stable")
    missed = [i for i in order if not one.label(defects.scores[i])]
    auroc = image_metrics(scores, labels)["image_auroc"]
    yield f"defects: {len(missed)} of {len(defects.scores)} missed; AUROC {auroc:.3f}"
    yield from (f"  {defects.scores[i]:.6f} {defects.paths[i]}" for i in missed[:SHOWN])
    if len(missed) > SHOWN:
        yield f"  and {len(missed) - SHOWN} more"


def _settled(asked: Asked, checkpoint: Path, new: Calibration, replace: bool) -> str:
    """Keep `new`, unless it is there already; UserError when another of its name is, but for `replace`."""
    old = of_model(asked.model, checkpoint).get(new.name)
    if old is not None and _is_same(old, new):
        return f"{new.name} is there already, unchanged"
    if old is not None and not replace:
        raise UserError(
            f"--name {new.name}: {asked.model} has one of that name, of {old.n} pictures with --false-alarms "
            f"{old.false_alarms}, threshold {old.threshold:.6f}; take another name, or --replace"
        )
    return f"kept: {keep(asked.model, checkpoint, new)}"


def _is_same(old: Calibration, new: Calibration) -> bool:
    """Whether one is the other made again."""
    told = ("false_alarms", "n", "category", "prompt_name")
    if any(getattr(old, name) != getattr(new, name) for name in told):
        return False
    near = abs(old.pixel_threshold - new.pixel_threshold) < SAME_MAP
    return near and np.allclose(old.scores, new.scores, rtol=0, atol=SAME)
