"""How far the best learner is ahead of each other one, and how sure that is.

The uncertainty of a difference has two parts: which pictures a dataset happens to hold, by draws that are paired by
picture (`metrics.bootstrap`) where the predictions of both are at hand, and which seeds were trained. Their variances
add, with degrees of freedom after Welch and Satterthwaite. Intervals of one list hold together with 95 % (Bonferroni).
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import NamedTuple

import numpy as np

from zsad.common.progress import progress
from zsad.config.schema import MetricsParams
from zsad.evaluation.metrics.bootstrap import COVERED, Draws, standard_error
from zsad.evaluation.report.curves import stride
from zsad.evaluation.report.material import Material, Stored, Track
from zsad.evaluation.results import Cell
from zsad.evaluation.score import cell_draws, score_categories

PAIRED = "paired by picture, and seeds"
UNPAIRED = "pictures of each learner by themselves, which is wider than need be, and seeds"
SEEDS = "seeds only, so it tells nothing of other pictures"
ONE_SEED = "pictures only: one of the two was trained with one seed"
NOTHING = "nothing: there is one seed, and no predictions or intervals"
AllDraws = Mapping[tuple[str, str], Draws]


class Difference(NamedTuple):
    """Best minus other in one metric, and its interval, None where unknown; `by`: what the interval covers."""

    other: str
    value: float
    low: float | None
    high: float | None
    by: str

    @property
    def is_sure(self) -> bool:
        """Whether chance does not explain it."""
        return self.low is not None and self.low > 0


class Ranking(NamedTuple):
    """One metric on some datasets: mean of every configuration, best first, and how far the first is ahead."""

    metric: str
    datasets: list[str]
    means: dict[str, float]
    ahead: list[Difference]

    @property
    def best(self) -> str:
        """The configuration with the highest mean."""
        return next(iter(self.means))

    @property
    def unsure(self) -> list[str]:
        """Configurations that cannot be told apart from the best."""
        return [difference.other for difference in self.ahead if not difference.is_sure]


def draw_all(material: Material, metrics: MetricsParams) -> dict[tuple[str, str], Draws]:
    """{cell: {metric: [1+B]}} of cells that have a rival and whose predictions are here; large sets: image metrics."""
    names = [
        (cell["learner"], cell["dataset"])
        for track in material.tracks
        for cell in track.strict.scored
        if len(track.strict.on(cell["dataset"])) > 1 and (cell["learner"], cell["dataset"]) in material.stored
    ]
    return {
        name: _draws(material.stored[name], metrics)
        for name in progress(names, len(names), "drawing pictures")
        if stride(material.stored[name]) == 1
    }


def _draws(stored: Stored, metrics: MetricsParams) -> Draws:
    return cell_draws(score_categories(stored.predictions, stored.manifest, metrics))


def rank(track: Track, metric: str, datasets: Sequence[str], draws: AllDraws) -> Ranking | None:
    """The configurations of a track by their mean over datasets on which all have a value; None without such."""
    shared = [dataset for dataset in track.shared(metric) if dataset in datasets]
    cells = {learner: [track.of(learner)[dataset] for dataset in shared] for learner in track.learners}
    if not shared or len(cells) < 2:
        return None
    means = {learner: fmean(cell["mean"][metric] for cell in own) for learner, own in cells.items()}
    order = sorted(means, key=lambda learner: -means[learner])
    sides = len(order) - 1
    ahead = [_difference(cells[order[0]], cells[other], metric, draws, sides) for other in order[1:]]
    return Ranking(metric, shared, {learner: means[learner] for learner in order}, ahead)


def _difference(best: Sequence[Cell], other: Sequence[Cell], metric: str, draws: AllDraws, sides: int) -> Difference:
    from scipy.stats import t

    value = fmean(cell["mean"][metric] for cell in best) - fmean(cell["mean"][metric] for cell in other)
    seeds = [_seed_variance(cells, metric) for cells in (best, other)]
    pictures, by = _picture_variance(best, other, metric, draws)
    total = (pictures or 0.0) + sum(part for part, _ in seeds)
    if pictures is None:
        by = SEEDS if total else NOTHING
    elif any(_is_chancy(cells[0]) and not df for cells, (_, df) in zip((best, other), seeds, strict=True)):
        by = ONE_SEED
    if by == NOTHING:
        return Difference(other[0]["learner"], value, None, None, by)
    denominator = sum(part**2 / df for part, df in seeds if df)
    df = total**2 / denominator if denominator else math.inf
    half = float(t.ppf(1 - (1 - COVERED) / 2 / sides, df)) * math.sqrt(total)
    return Difference(other[0]["learner"], value, value - half, value + half, by)


def _seed_variance(cells: Sequence[Cell], metric: str) -> tuple[float, int]:
    """(variance of the mean over seeds of the mean over cells, its degrees of freedom); (0, 0) with one seed."""
    seeds = [seed for seed in cells[0]["per_seed"] if all(seed in cell["per_seed"] for cell in cells)]
    values = [[cell["per_seed"][seed].get(metric) for cell in cells] for seed in seeds]
    means = [fmean(row) for row in values if all(value is not None for value in row)]
    return (variance(means) / len(means), len(means) - 1) if len(means) > 1 else (0.0, 0)


def _is_chancy(cell: Cell) -> bool:
    """Whether another seed would have given another model."""
    return cell["source"] is not None or bool(cell["shots"])


def _picture_variance(
    best: Sequence[Cell], other: Sequence[Cell], metric: str, draws: AllDraws
) -> tuple[float | None, str]:
    """(variance of the difference of means over cells for the choice of pictures, what that is based on)."""
    sides = [[draws.get((cell["learner"], cell["dataset"]), {}) for cell in cells] for cells in (best, other)]
    if all(metric in one for side in sides for one in side):
        mean = [np.mean([one[metric] for one in side], axis=0) for side in sides]
        return standard_error(mean[0] - mean[1]) ** 2, PAIRED
    errors = [cell["se"].get(metric) for cell in (*best, *other)]
    if any(error is None for error in errors):
        return None, NOTHING
    return sum(error**2 for error in errors) / len(best) ** 2, UNPAIRED
