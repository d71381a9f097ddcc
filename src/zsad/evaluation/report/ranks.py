"""Learners by rank over datasets: the tests of `zsad compare`, and their critical-difference diagram."""

from typing import NamedTuple

from markupsafe import Markup

from zsad.evaluation.comparison.diagram import diagram
from zsad.evaluation.comparison.ranks import RankTest, rank_test
from zsad.evaluation.report.figures import inline
from zsad.evaluation.report.material import Track
from zsad.evaluation.report.wording import TITLES

FEWEST_LEARNERS, FEWEST_DATASETS = 3, 2


class Ranks(NamedTuple):
    """One metric of a track: what it is called, the tests, the diagram."""

    title: str
    test: RankTest
    diagram: Markup


def ranks(track: Track, metric: str) -> Ranks | None:
    """None for fewer than three learners or two datasets that all share."""
    shared, learners = track.shared(metric), track.learners
    if len(learners) < FEWEST_LEARNERS or len(shared) < FEWEST_DATASETS:
        return None
    values = {learner: [track.of(learner)[dataset]["mean"][metric] for dataset in shared] for learner in learners}
    test, title = rank_test(metric, values, shared), f"{track.name}, {TITLES[metric]}"
    told = ", ".join(f"{learner} {rank:.2f}" for learner, rank in test.mean_ranks.items())
    return Ranks(title, test, inline(diagram(test), f"Mean ranks, {title}: {told}"))
