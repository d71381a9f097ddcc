"""Two sets of result cells, before and after: changes per metric, and what forbids a comparison.

A number regressed if it fell by more than its tolerance, by more than chance explains, and nobody said that it may.
Chance is what the seeds do (see `seed_noise`), and where the predictions of both sides are at hand, what the choice of
pictures does (see `picture_noise`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from zsad.evaluation.metrics.bootstrap import Draws, Floats, standard_error
from zsad.evaluation.metrics.names import HEADLINES, METRICS
from zsad.evaluation.results import Cell
from zsad.evaluation.seed_noise import drop_probability, holm, moderate, pooled_variance

Name = tuple[str, str]  # (configuration, dataset)
Cells = Mapping[Name, Cell]
Tolerances = Mapping[str, float]  # per metric: the largest drop that passes
FALSE_ALARMS = 0.05  # share of verdicts on an unchanged tree that may name a number which seeds alone moved
SLACK = 1e-9  # a drop of exactly the tolerance passes, whatever binary fractions make of it
SAME = {  # fields that must agree for two numbers to be about the same thing
    "dataset_hash": "the dataset's content",
    "protocol": "the protocol",
    "shots": "the number of shots",
    "seeds": "the seeds",
    "metrics": "the metric settings",
}


@dataclass(frozen=True)
class Change:
    """One metric of a cell, or of a configuration's mean over datasets (scope cell or mean), before and after.

    `seeds_before` and `seeds_after` are its values by seed. `noise` is the standard error of the change that they tell,
    moderated, on `df` degrees of freedom, with that of the choice of pictures, `pictures`, in it where that is known.
    `p` is the probability of such a drop by chance alone, adjusted for all numbers of the verdict. `noise`, `df` and
    `p` are None where there is no chance: fewer than two seeds, or seeds that all agree. Then two runs can differ by
    what was changed alone, on these pictures, and `pictures` only tells whether others would say the same.
    accepted: why a drop is meant (metrics/accepted.yaml).
    """

    scope: str
    learner: str
    dataset: str
    metric: str
    before: float
    after: float
    tolerance: float
    seeds_before: tuple[float, ...] = ()
    seeds_after: tuple[float, ...] = ()
    pictures: float | None = None
    noise: float | None = None
    df: float | None = None
    p: float | None = None
    accepted: str | None = None

    @property
    def change(self) -> float:
        """After minus before: negative = worse."""
        return self.after - self.before

    @property
    def excess(self) -> float:
        """By how much the drop exceeds the tolerance; negative = within it."""
        return -self.change - self.tolerance

    @property
    def fell(self) -> bool:
        """Whether the metric fell by more than the tolerance and by more than chance explains."""
        return self.excess > SLACK and (self.p is None or self.p <= FALSE_ALARMS)

    @property
    def regressed(self) -> bool:
        """Whether the metric fell, and that was not meant."""
        return self.fell and self.accepted is None

    @property
    def within_spread(self) -> bool:
        """Whether the metric fell by more than the tolerance, as it may by chance."""
        return self.excess > SLACK and not self.fell

    @property
    def one_seed(self) -> bool:
        """Whether there are too few seeds to tell their noise."""
        return min(len(self.seeds_before), len(self.seeds_after)) < 2

    @property
    def is_noisy(self) -> bool:
        """Whether there are seeds and they differ."""
        return not self.one_seed and any(len(set(side)) > 1 for side in (self.seeds_before, self.seeds_after))


def title(name: Name) -> str:
    """How reports name a cell."""
    return f"{name[0]} on {name[1]}"


def other_data(name: Name, before: Cell, after: Cell) -> list[str]:
    """Why the two versions of a cell are about different things; empty when they can be compared."""
    if after["reason"] and not before["reason"]:
        return [f"{title(name)}: had values and is not applicable now ({after['reason']})"]
    return [
        f"{title(name)}: {meaning} changed ({before[field]} → {after[field]})"
        for field, meaning in SAME.items()
        if before[field] != after[field] and not before["reason"]
    ]


def lost_metrics(name: Name, before: Cell, after: Cell) -> list[str]:
    """Metrics that had a value and are undefined now."""
    lost = [metric for metric in METRICS if _value(before, metric) is not None and _value(after, metric) is None]
    return [f"{title(name)}: {', '.join(lost)}: had a value and is undefined now"] if lost else []


def compare(
    before: Cells, after: Cells, cell: Tolerances, mean: Tolerances, draws: Mapping[Name, Draws] | None = None
) -> list[Change]:
    """All changes, worst first: every number of every cell in `before`, and every configuration's means.

    A mean is taken over the datasets where the metric has a number on both sides. Its seeds are means over those
    datasets too, because one model makes them all. draws: of the cells whose predictions are at hand, after minus
    before, by metric, in each draw of pictures.
    """
    changes = []
    for learner in dict.fromkeys(key for key, _ in before):
        for metric in METRICS:
            names = _shared(before, after, learner, metric)
            groups = [("cell", name[1], [name], cell) for name in names]
            groups += [("mean", f"mean of {len(names)}", names, mean)] if names else []
            for scope, dataset, group, tolerances in groups:
                change = _change(scope, dataset, before, after, group, metric, tolerances)
                changes.append(replace(change, pictures=_picture_error(group, metric, draws or {})))
    return worst_first(_with_noise(changes))


def worst_first(changes: Iterable[Change]) -> list[Change]:
    """What regressed, then what fell furthest beyond its tolerance."""
    return sorted(changes, key=lambda change: (not change.regressed, -change.excess))


def _change(
    scope: str, dataset: str, before: Cells, after: Cells, names: Sequence[Name], metric: str, tolerances: Tolerances
) -> Change:
    """The change of the mean over the cells `names`, which is the cell's own where there is one."""
    sides = [[cells[name] for name in names] for cells in (before, after)]
    old, new = (fmean(cell["mean"][metric] for cell in side) for side in sides)
    seeds_before, seeds_after = (_by_seed(side, metric) for side in sides)
    return Change(scope, names[0][0], dataset, metric, old, new, tolerances[metric], seeds_before, seeds_after)


def _by_seed(cells: Sequence[Cell], metric: str) -> tuple[float, ...]:
    """The mean over `cells` for every seed that has a number in each of them."""
    seeds = [[cell["per_seed"].get(seed, {}).get(metric) for cell in cells] for seed in cells[0]["per_seed"]]
    return tuple(fmean(values) for values in seeds if all(v is not None and math.isfinite(v) for v in values))


def _with_noise(changes: Sequence[Change]) -> list[Change]:
    """The changes with what their seeds tell; variances are moderated over the numbers of one metric and scope."""
    noisy = [change for change in changes if change.is_noisy]
    groups = dict.fromkeys((change.scope, change.metric) for change in noisy)
    known = [one for group in groups for one in _moderated([c for c in noisy if (c.scope, c.metric) == group])]
    if not known:
        return list(changes)
    columns = np.array([(-c.change, c.noise, c.df) for c in known]).T
    adjusted = holm(drop_probability(*columns), shares(known))
    return [c for c in changes if not c.is_noisy] + [
        replace(c, p=float(p)) for c, p in zip(known, adjusted, strict=True)
    ]


def shares(changes: Sequence[Change]) -> Floats:
    """Each number's part of the false alarms: half is for the few that learners are known by, half for all others.

    Those few, means of the headline metrics over datasets, have the least noise too; among hundreds of numbers that
    each count the same, a drop of a whole learner would have to be as sure as one on a single cell.
    """
    known_by = np.array([change.scope == "mean" and change.metric in HEADLINES for change in changes])
    counts = np.where(known_by, known_by.sum(), (~known_by).sum())
    return 1 / counts / (2 if 0 < known_by.sum() < len(changes) else 1)


def _moderated(group: Sequence[Change]) -> list[Change]:
    """The changes of one metric and scope with standard error and degrees of freedom."""
    counts = np.array([(len(c.seeds_before), len(c.seeds_after)) for c in group], dtype=np.float64)
    own = np.array([pooled_variance(c.seeds_before, c.seeds_after) for c in group])
    variances, df = moderate(own, counts.sum(1) - 2)
    seeds = variances * (1 / counts).sum(1)
    total = seeds + np.array([c.pictures or 0.0 for c in group]) ** 2
    df, errors = df * (total / seeds) ** 2, np.sqrt(total)  # Welch and Satterthwaite; of pictures there are many
    return [replace(c, noise=float(error), df=float(d)) for c, error, d in zip(group, errors, df, strict=True)]


def _picture_error(names: Sequence[Name], metric: str, draws: Mapping[Name, Draws]) -> float | None:
    """Standard error, over the choice of pictures, of the change of the mean over cells; None if one has no draws."""
    if not all(metric in draws.get(name, {}) for name in names):
        return None
    return standard_error(np.mean([draws[name][metric] for name in names], axis=0))


def _shared(before: Cells, after: Cells, learner: str, metric: str) -> list[Name]:
    """The cells of one configuration where the metric is a number on both sides."""
    sides = (before, after)
    return [name for name in before if name[0] == learner and all(_value(c[name], metric) is not None for c in sides)]


def _value(cell: Cell, metric: str) -> float | None:
    value: float | None = cell["mean"].get(metric)
    return value
