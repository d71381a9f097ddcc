"""How much of a change the seeds explain: what `zsad gate` asks before it calls a drop a regression.

Training is chaotic: last bits that differ end elsewhere, so an unchanged tree on another processor is another draw of
every seed. The seeds before and after are therefore two independent samples, and a drop is tested one-sided by a pooled
t statistic. A cell has three seeds, which is four degrees of freedom for some two hundred comparisons, so the variances
of one metric are *moderated*: each is drawn towards what is usual for that metric (Smyth 2004, "Linear models and
empirical Bayes methods for assessing differential expression in microarray experiments", Statistical Applications in
Genetics and Molecular Biology 3(1), article 3; `squeezeVar` of the R package limma).
"""

import math
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_SD = 1e-3  # seeds that are nearer together than this tell nothing of how near they are
SETTLED = 1e-10  # relative step at which Newton's iteration ends


class Prior(NamedTuple):
    """What is usual: a variance is variance · df / χ²(df); df = inf where all numbers share one variance."""

    df: float
    variance: float


def pooled_variance(before: "Sequence[float]", after: "Sequence[float]") -> float:
    """Variance within the two samples, on len(before) + len(after) − 2 degrees of freedom."""
    squares = sum((value - mean) ** 2 for side in (before, after) for mean in [fmean(side)] for value in side)
    return squares / (len(before) + len(after) - 2)


def fit_prior(variances: "Floats", df: "Floats", widening: float = 1.0) -> Prior:
    """Match mean and variance of the logarithms of sample variances (Smyth 2004, section 6.2).

    `widening` multiplies the observed variance of the logarithms. Without excess spread there is one variance, whose
    best estimate is the mean (as limma does since 2017).
    """
    from scipy.special import digamma, polygamma

    logs = np.log(variances) - digamma(df / 2) + np.log(df / 2)
    excess = float(logs.var(ddof=1) * widening - polygamma(1, df / 2).mean())
    if excess <= 0:
        return Prior(math.inf, float(np.average(variances, weights=df)))
    half = inverse_trigamma(excess)
    return Prior(2 * half, math.exp(logs.mean() + float(digamma(half)) - math.log(half)))


def inverse_trigamma(value: float) -> float:
    """The y > 0 with trigamma(y) = value > 0, by Newton's iteration on 1/trigamma (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value > 1 / SETTLED:
        return 1 / math.sqrt(value)
    y, step = 0.5 + 1 / value, -math.inf
    while -step > SETTLED * y:
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, y))
        y += step
    return y


def moderate(variances: "Floats", df: "Floats") -> tuple["Floats", "Floats"]:
    """(variances, degrees of freedom) of one metric's numbers after moderation (Smyth 2004, equations of section 3).

    A noisy learner among quiet ones fits no smooth prior: simulated, the method as published sounds a false alarm in up
    to 10 % of verdicts where 5 % are claimed. So it leans towards silence: the spread of the log variances is taken a
    standard error larger, what is usual is no less than the median, and no number counts as quieter than its own seeds
    say. As in limma, there are no more degrees of freedom than all seeds together have.
    """
    own = np.maximum(variances, LEAST_SD**2)
    if len(own) < 2:
        return own, df
    prior = fit_prior(own, df, widening=1 + math.sqrt(2 / (len(own) - 1)))
    usual = max(prior.variance, float(np.median(own)))
    weight = 1 / (1 + df / prior.df)
    return np.maximum(weight * usual + (1 - weight) * own, own), np.minimum(prior.df + df, df.sum())


def drop_probability(drops: "Floats", errors: "Floats", df: "Floats") -> "Floats":
    """One-sided p: how often seeds alone make a drop at least this large, by Student's t."""
    from scipy.special import stdtr

    return np.asarray(stdtr(df, -drops / errors), dtype=np.float64)


def holm(p: "Floats", weights: "Floats | None" = None) -> "Floats":
    """Adjusted p values: whoever rejects those ≤ α errs with probability ≤ α, however they depend (Holm 1979).

    Each number has a part of α in proportion to its weight (default: all alike), and of what rejected ones leave
    (weighted Holm, in the same paper).
    """
    weights = np.ones(len(p)) if weights is None else weights
    order = np.argsort(p / weights)
    left = np.cumsum(weights[order][::-1])[::-1]
    steps = np.maximum.accumulate(p[order] * left / weights[order])
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
