"""Times of several things in turn: on a machine that others use as well, only what ran in turn can be compared."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds of every run of one thing, warm-up left out."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median: 0.1 is a machine that was not quiet."""
        ordered = sorted(self.seconds)
        quarter = len(ordered) // 4
        return (ordered[-1 - quarter] - ordered[quarter]) / (2 * self.median)


def in_turn(
    works: Mapping[str, Work],
    rounds: int,
    settled: Work = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    warm: bool = False,
) -> dict[str, Times]:
    """Run each thing once to warm it up, then `rounds` times, one after the other in every round.

    settled: returns when what was started is done (a GPU works on behind the caller's back); warm: all have run before.
    """
    found: dict[str, list[float]] = {name: [] for name in works}
    if not warm:
        for work in works.values():
            work()
        settled()
    for _ in range(rounds):
        for name, work in works.items():
            begun = clock()
            work()
            settled()
            found[name].append(clock() - begun)
    return {name: Times(tuple(seconds)) for name, seconds in found.items()}


def ratios(of: Times, over: Times) -> float:
    """Median over rounds of how many times as long one took as the other, in the same round."""
    return median(a / b for a, b in zip(of.seconds, over.seconds, strict=True))
