"""Difference of two configurations by a bootstrap over pictures, paired: each draw holds the same pictures for both.

Pictures alone answer whether *these* trained models differ on other pictures of the same kind. With the seeds beside
them the question is whether the *methods* do: another training ends elsewhere, and its variance comes on top.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsad.evaluation.category import Category
from zsad.evaluation.metrics.bootstrap import COVERED, Floats, mean_draws, standard_error

Categories = Mapping[str, Category]


@dataclass(frozen=True)
class Spread:
    """Of a difference: standard error, 95 % interval, two-sided p."""

    se: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Difference:
    """One metric of a and b, means over categories, datasets and seeds; difference = a − b.

    pictures: spread by pictures. seeds_se: what other seeds add to its standard error; None: one seed, so unknown.
    both: spread by pictures and seeds together, None where the seeds' is unknown.
    """

    metric: str
    a: float
    b: float
    difference: float
    pictures: Spread
    seeds_se: float | None
    both: Spread | None

    @property
    def judged(self) -> Spread:
        """The widest spread that is known."""
        return self.both or self.pictures


@dataclass(frozen=True)
class Side:
    """One configuration on one dataset. chance: whether another seed would give another model."""

    categories: Categories
    chance: bool


def shared_categories(a: Categories, b: Categories, metric: str) -> list[str]:
    """Categories where both have the metric: only these are compared."""
    return [name for name in a if metric in a[name].draws and name in b and metric in b[name].draws]


def difference(metric: str, datasets: Sequence[tuple[Side, Side]]) -> Difference | None:
    """Of the mean over datasets; None where no dataset has the metric for both."""
    shared = [(a, b, shared_categories(a.categories, b.categories, metric)) for a, b in datasets]
    shared = [each for each in shared if each[2]]
    if not shared:
        return None
    a = _seeds(metric, [(side.categories, names) for side, _, names in shared])
    b = _seeds(metric, [(side.categories, names) for _, side, names in shared])
    value = float(a.mean() - b.mean())
    draws = mean_draws([_paired_draws(metric, *each) for each in shared])
    pictures = _by_pictures(draws, value)
    chances = (any(side.chance for side, _, _ in shared), any(side.chance for _, side, _ in shared))
    variances = [_seed_variance(values, chance) for values, chance in zip((a, b), chances, strict=True)]
    known = [v for v in variances if v is not None]
    seeds = math.sqrt(sum(v / len(x) for v, x in zip(known, (a, b), strict=True))) if len(known) == 2 else None
    both = None if seeds is None else _by_both(value, pictures, known, (a, b))
    return Difference(metric, float(a.mean()), float(b.mean()), value, pictures, seeds, both)


def _seeds(metric: str, datasets: Sequence[tuple[Categories, list[str]]]) -> Floats:
    """[seeds]: each seed's mean over categories, then over datasets, which all have the same seeds."""
    rows = [np.mean([_by_seed(categories[name], metric) for name in names], axis=0) for categories, names in datasets]
    return np.mean(rows, axis=0, dtype=np.float64)


def _by_seed(category: Category, metric: str) -> Floats:
    return np.array([values[metric] for values in category.per_seed.values()], dtype=np.float64)


def _paired_draws(metric: str, a: Side, b: Side, names: Sequence[str]) -> Floats:
    """[1+B]: mean difference over the categories in each draw; NaN in a category that one of them cannot tell."""
    return mean_draws([a.categories[n].draws[metric] - b.categories[n].draws[metric] for n in names])


def _by_pictures(draws: Floats, value: float) -> Spread:
    """draws[0] is `value` by the draws' coarser bins: all are moved by what that makes."""
    moved = draws[1:][~np.isnan(draws[1:])] + value - draws[0]
    tail = (1 - COVERED) / 2
    low, high = np.quantile(moved, [tail, 1 - tail])
    se = standard_error(draws)
    return Spread(se, (float(low), float(high)), _p(moved, value, se))


def _p(moved: Floats, value: float, se: float) -> float:
    """Twice the share of draws beyond 0; where none is, the normal tail, but no more than a draw's share."""
    beyond = int(min(np.sum(moved <= 0), np.sum(moved >= 0)))
    p = 2 * (1 + beyond) / (1 + len(moved))
    if not beyond and se:
        p = min(p, math.erfc(abs(value) / se / math.sqrt(2)))
    return min(1.0, p)


def _seed_variance(values: Floats, chance: bool) -> float | None:
    """Of single seeds; 0 where nothing is drawn, None where one seed does not tell."""
    if not chance:
        return 0.0
    return float(values.var(ddof=1)) if len(values) > 1 else None


def _by_both(
    value: float, pictures: Spread, variances: Sequence[float], seeds: Sequence[NDArray[np.float64]]
) -> Spread:
    """Student's t, degrees of freedom by Welch and Satterthwaite: pictures are many, seeds are few."""
    from scipy.stats import t

    parts = [v / len(x) for v, x in zip(variances, seeds, strict=True)]
    if not any(parts):  # the seeds add nothing
        return pictures
    total = pictures.se**2 + sum(parts)
    df = total**2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, seeds, strict=True) if part)
    se = math.sqrt(total)
    half = float(t.ppf((1 + COVERED) / 2, df)) * se
    return Spread(se, (value - half, value + half), float(2 * t.sf(abs(value) / se, df)))
