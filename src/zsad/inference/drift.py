"""Do today's normal pictures still fit a calibration? Two tests, and a verdict.

Alarms: among m further normal pictures their number is beta-binomial, whatever the scores' distribution is. Scores: the
Kolmogorov-Smirnov test of two samples sees any other shift, also one that raises no alarm yet. Pictures that fit are
called drifted in at most one of 100 checks: half of that for each test.
"""

from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np

from zsad.common.errors import UserError
from zsad.inference.calibration import Calibration
from zsad.inference.maps import Floats

LEVEL = 0.01  # share of checks that call drifted what fits
SAME = 1e-6  # batches move a score by less


@dataclass(frozen=True)
class Drift:
    """What a check found. alarms_p, scores_p: how often what fits looks at least so unlike."""

    calibration: Calibration
    scores: Floats
    alarms: int
    alarms_p: float
    most_alarms: int
    distance: float
    scores_p: float

    @cached_property
    def reasons(self) -> list[str]:
        """Why it does not fit; empty when it does."""
        way = "higher" if np.median(self.scores) > np.median(self.calibration.scores) else "lower"
        return [
            *([f"{self.alarms} alarms of {len(self.scores)}"] if self.alarms_p < LEVEL / 2 else []),
            *([f"scores are distributed otherwise, in the median {way}"] if self.scores_p < LEVEL / 2 else []),
        ]

    @property
    def told(self) -> list[str]:
        """For people: a line for each test, and the verdict."""
        own, count = self.calibration, len(self.scores)
        up_to, below = (np.searchsorted(own.scores, self.scores + by) for by in (SAME, -SAME))
        same = int(np.sum(up_to > below))
        return [
            f"{own.name}: {count} pictures against {own.n} of the calibration, --false-alarms {own.false_alarms}",
            f"alarms: {self.alarms}; {count * own.expected:.1f} expected, up to {self.most_alarms} fit "
            f"(p = {self.alarms_p:.2g})",
            f"scores: median {np.median(own.scores):.6f} then, {np.median(self.scores):.6f} now; "
            f"Kolmogorov-Smirnov distance {self.distance:.3f} (p = {self.scores_p:.2g})",
            *(
                [f"{same} of them have a score of the calibration: its own pictures tell nothing"]
                if same > count / 2
                else []
            ),
            f"verdict: {'drifted' if self.reasons else 'fits'}",
        ]


def compare(calibration: Calibration, scores: Floats) -> Drift:
    """Compare scores [m] of today's normal pictures with those of a calibration; UserError when m can tell nothing."""
    from scipy.stats import betabinom, ks_2samp  # half a second, and nothing else of a calibration needs it

    n, count = calibration.n, len(scores)
    if 2 / comb(n + count, count) >= LEVEL / 2:  # even if all of them scored above all of the calibration's
        raise UserError(f"{count} pictures: too few to say whether {n} of a calibration are of the same kind; add some")
    tomorrow = betabinom(count, n + 1 - calibration.rank, calibration.rank)
    alarms = int(np.sum(scores > calibration.threshold))
    # A thinned calibration stands for itself: ranks at even distances differ less by chance than as many draws would.
    kolmogorov = ks_2samp(calibration.scores, scores)
    return Drift(
        calibration=calibration,
        scores=scores,
        alarms=alarms,
        alarms_p=float(tomorrow.sf(alarms - 1)),
        most_alarms=int(tomorrow.isf(LEVEL / 2)),
        distance=float(kolmogorov.statistic),
        scores_p=float(kolmogorov.pvalue),
    )
