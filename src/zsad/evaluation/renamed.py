"""How much scores change when classes are called otherwise: predictions under other names beside those of a cell.

A change is what another name gives less what the set's own gives, by seed. `score` is the mean size of the change of a
picture's score; `score_sd` the same in standard deviations of the cell's own scores, whose scale is the learner's.
"""

from typing import Any

import numpy as np

from zsad.datasets.class_names import FOLDER
from zsad.datasets.manifest import Manifest
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.metrics.summaries import Values, mean_of, sd_of
from zsad.evaluation.results import Cell, rounded
from zsad.inference.ensemble import RowPredictions
from zsad.inference.stored import Predictions

CHANGES = ("score", "score_sd", *METRICS)


def under_other_names(predictions: RowPredictions) -> dict[str, Predictions]:
    """By naming; none unless params.yaml has `class_names`, and none of an ensemble, whose members have theirs."""
    folder = predictions.directory / FOLDER
    return {path.name: Predictions.open(path) for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def changes(own: tuple[RowPredictions, Cell], other: tuple[Predictions, Cell], manifest: Manifest) -> dict[str, Any]:
    """{mean, sd: {score, score_sd, each metric}} over seeds, and those of each seed."""
    by_seed: dict[str, Values] = {}
    for seed in own[0].info.seeds:
        before, after = own[1]["per_seed"][str(seed)], other[1]["per_seed"][str(seed)]
        known = {name: after[name] - before[name] for name in METRICS if None not in (before[name], after[name])}
        by_seed[str(seed)] = {**_of_scores(own[0], other[0], manifest, seed), **known}
    every = list(by_seed.values())
    return {
        "mean": rounded(mean_of(every, CHANGES)),
        "sd": rounded(sd_of(every, CHANGES)),
        "per_seed": {seed: rounded(values) for seed, values in by_seed.items()},
    }


def _of_scores(own: RowPredictions, other: Predictions, manifest: Manifest, seed: int) -> Values:
    """Mean |change| of the image scores [n] of pictures whose category has a model."""
    scored = np.array([row.category not in own.info.left_out for row in manifest.test])
    before, after = own.scores(seed)[scored], other.scores(seed)[scored]
    change, spread = float(np.abs(after - before).mean()), float(before.std())
    return {"score": change, "score_sd": change / spread if spread else None}
