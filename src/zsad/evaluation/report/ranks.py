"""Mean ranks of learners over datasets, after Demšar 2006, and how many datasets such a comparison would need."""

from typing import NamedTuple

import numpy as np

from zsad.evaluation.report.material import Track
from zsad.evaluation.report.wording import TITLES

ENOUGH = 6  # datasets: with fewer, not even a learner that wins on each differs by Wilcoxon's two-sided test at 5 %


class Ranks(NamedTuple):
    """Mean rank of each learner over the shared datasets, best first; `can_tell`: whether there are enough of them."""

    metric: str
    datasets: list[str]
    means: dict[str, float]
    can_tell: bool


def mean_ranks(track: Track, metric: str) -> Ranks | None:
    """Ranks (1 = best, ties share) of a track's learners; None for one learner or without a shared dataset."""
    from scipy.stats import rankdata

    shared, learners = track.shared(metric), track.learners
    if len(learners) < 2 or not shared:
        return None
    values = np.array([[track.of(learner)[dataset]["mean"][metric] for learner in learners] for dataset in shared])
    means = dict(zip(learners, rankdata(-values, axis=1).mean(axis=0).tolist(), strict=True))
    order = sorted(means, key=means.__getitem__)
    return Ranks(TITLES[metric], shared, {learner: means[learner] for learner in order}, len(shared) >= ENOUGH)
