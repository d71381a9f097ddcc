"""Several configurations over several datasets, by ranks: Friedman, Iman-Davenport, Nemenyi, Wilcoxon with Holm.

J. Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006). A dataset counts once,
however many pictures it has; what is asked is whether the order of configurations holds on datasets like these.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from zsad.evaluation.seed_noise import holm

ALPHA = 0.05
EXACT = 13  # datasets up to which Wilcoxon's p is counted over all signs, with ties as they are

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Wilcoxon's signed-rank test of two configurations; `difference`: mean of a − b; `adjusted`: after Holm."""

    a: str
    b: str
    difference: float
    p: float
    adjusted: float


@dataclass(frozen=True)
class RankTest:
    """One metric. Rank 1 is the best; `mean_ranks` and `means` start with the best mean rank.

    chi2, p: Friedman, corrected for ties. f, f_p: Iman and Davenport's form of it, f None where all datasets agree.
    groups: largest sets of neighbours in rank whose ranks differ by less than `critical_difference` (Nemenyi).
    """

    metric: str
    datasets: tuple[str, ...]
    mean_ranks: dict[str, float]
    means: dict[str, float]
    chi2: float
    p: float
    f: float | None
    f_p: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    pairs: tuple[Pair, ...]

    @property
    def least_p(self) -> float:
        """The smallest p that Wilcoxon's test can give a pair here after Holm: all datasets agree."""
        return min(1.0, least_wilcoxon(len(self.datasets)) * len(self.pairs))

    @property
    def can_tell(self) -> bool:
        """Whether there are datasets enough that some pair could be told apart at all."""
        return self.least_p <= ALPHA


def rank_test(metric: str, values: Mapping[str, Sequence[float]], datasets: Sequence[str]) -> RankTest:
    """`values`: {configuration: a value for each dataset}, higher is better. At least three, on at least two."""
    from scipy.stats import rankdata

    names = list(values)
    table = np.array([values[name] for name in names]).T  # [N,k]
    ranks = rankdata(-table, axis=1).mean(0)
    order = np.argsort(ranks, kind="stable")
    chi2, p = _friedman(table)
    f, f_p = iman_davenport(chi2, *table.shape)
    mean_ranks = {names[i]: float(ranks[i]) for i in order}
    distance = critical_difference(len(names), len(datasets))
    return RankTest(
        metric=metric,
        datasets=tuple(datasets),
        mean_ranks=mean_ranks,
        means={names[i]: float(table[:, i].mean()) for i in order},
        chi2=chi2,
        p=p,
        f=f,
        f_p=f_p,
        critical_difference=distance,
        groups=_groups(mean_ranks, distance),
        pairs=_pairs({name: table[:, names.index(name)] for name in mean_ranks}),
    )


def iman_davenport(chi2: float, datasets: int, learners: int) -> tuple[float | None, float]:
    """(F, p) of a Friedman statistic: less conservative than χ². None and 0 where every dataset has the same order."""
    from scipy.stats import f as f_distribution

    rest = datasets * (learners - 1) - chi2
    if rest <= 1e-9 * chi2:
        return None, 0.0
    f = (datasets - 1) * chi2 / rest
    return f, float(f_distribution.sf(f, learners - 1, (learners - 1) * (datasets - 1)))


def critical_difference(learners: int, datasets: int, alpha: float = ALPHA) -> float:
    """Nemenyi's: mean ranks that differ by as much are different, all pairs considered."""
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - alpha, learners, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(learners * (learners + 1) / (6 * datasets)))


def wilcoxon(differences: Floats) -> float:
    """Two-sided p of paired differences [N]; zeros are shared out, as Demšar does."""
    from scipy.stats import PermutationMethod
    from scipy.stats import wilcoxon as signed_rank

    if not differences.any():
        return 1.0
    exact = len(differences) <= EXACT
    method = PermutationMethod(n_resamples=2**EXACT) if exact else "auto"
    return float(signed_rank(np.round(differences, 12), zero_method="zsplit", method=method).pvalue)


def least_wilcoxon(datasets: int) -> float:
    """The smallest p that Wilcoxon's test can give over so many datasets: all of one sign."""
    return float(2.0 ** (1 - datasets))


def _friedman(table: Floats) -> tuple[float, float]:
    """(χ², p); 0 and 1 where all values are equal."""
    from scipy.stats import friedmanchisquare

    if (table == table[:, :1]).all():
        return 0.0, 1.0
    chi2, p = friedmanchisquare(*table.T)
    return float(chi2), float(p)


def _groups(mean_ranks: Mapping[str, float], distance: float) -> tuple[tuple[str, ...], ...]:
    """Maximal runs of neighbours, best first, of two or more."""
    names, found = list(mean_ranks), []
    last = 0
    for start, name in enumerate(names):
        near = [n for n in names[start:] if mean_ranks[n] - mean_ranks[name] < distance]
        if len(near) > 1 and start + len(near) > last:
            found.append(tuple(near))
            last = start + len(near)
    return tuple(found)


def _pairs(values: Mapping[str, Floats]) -> tuple[Pair, ...]:
    both = list(combinations(values, 2))
    p = np.array([wilcoxon(values[a] - values[b]) for a, b in both])
    told = zip(both, p, holm(p), strict=True)
    return tuple(Pair(a, b, float((values[a] - values[b]).mean()), float(q), float(h)) for (a, b), q, h in told)
