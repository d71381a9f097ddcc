"""Split-conformal thresholds: which order statistic of n normal scores, and what it says of false alarms to come.

With n scores of normal pictures and one more of the same kind, all orders are equally likely. So the k-th smallest,
k = ⌈(n + 1)(1 − α)⌉, is exceeded by the next normal picture with probability (n + 1 − k)/(n + 1) ≤ α, whatever the
model. Given the n pictures, that rate is a number of its own, distributed as Beta(n + 1 − k, k) over draws of them
(Vovk, Gammerman and Shafer 2005; Vovk 2012). Equal scores make alarms rarer, as only `score > threshold` is one.
"""

from fractions import Fraction
from math import ceil

from scipy.special import betaincinv

from zsad.common.errors import UserError


def rank(n: int, false_alarms: float) -> int:
    """k, from 1: the threshold is the k-th smallest of n scores. UserError with the n needed when there are fewer.

    In exact arithmetic, with α as it is written: 0.1 is a tenth, not the nearest binary fraction.
    """
    if not 0 < false_alarms < 1:
        raise UserError(f"false_alarms {false_alarms}: a share of normal pictures above 0 and below 1, such as 0.01")
    alpha = Fraction(repr(float(false_alarms)))
    if n < (needed := ceil(1 / alpha - 1)):
        smallest = ceil(Fraction(1000, n + 1)) / 1000
        remedy = f"add some, or allow {smallest}" if smallest < 1 else "add some"
        raise UserError(f"{n} normal pictures: --false-alarms {false_alarms} needs at least {needed}; {remedy}")
    return ceil((n + 1) * (1 - alpha))


def mean_rate(n: int, k: int) -> float:
    """The false-alarm rate that is expected over draws of the n normal pictures."""
    return (n + 1 - k) / (n + 1)


def rate_interval(n: int, k: int, level: float) -> tuple[float, float]:
    """Where the false-alarm rate lies for this share of draws of the n pictures, with equal tails."""
    if not 0 < level < 1:
        raise UserError(f"level {level}: a share above 0 and below 1, such as 0.95")
    tail = (1 - level) / 2
    low, high = betaincinv(n + 1 - k, k, [tail, 1 - tail])
    return float(low), float(high)
