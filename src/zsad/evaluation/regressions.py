"""Two sets of result cells, before and after: changes per metric, and what forbids a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass

from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.results import Cell

Name = tuple[str, str]  # (configuration, dataset)
Cells = Mapping[Name, Cell]
Tolerances = Mapping[str, float]  # per metric: the largest drop that passes
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
    """One metric of a cell, or of a configuration's mean over datasets (scope cell or mean), before and after."""

    scope: str
    learner: str
    dataset: str
    metric: str
    before: float
    after: float
    tolerance: float

    @property
    def change(self) -> float:
        """After minus before: negative = worse."""
        return self.after - self.before

    @property
    def excess(self) -> float:
        """By how much the drop exceeds the tolerance; negative = within it."""
        return -self.change - self.tolerance

    @property
    def regressed(self) -> bool:
        """Whether the metric fell by more than the tolerance."""
        return self.excess > SLACK


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


def compare(before: Cells, after: Cells, cell: Tolerances, mean: Tolerances) -> list[Change]:
    """All changes, worst first: every number of every cell in `before`, and every configuration's means.

    A mean is taken over the datasets where the metric has a number on both sides.
    """
    changes = []
    for learner in dict.fromkeys(key for key, _ in before):
        for metric in METRICS:
            pairs = _pairs(before, after, learner, metric)
            changes += [Change("cell", learner, d, metric, *pair, cell[metric]) for d, pair in pairs.items()]
            if pairs:
                old, new = (sum(values) / len(pairs) for values in zip(*pairs.values(), strict=True))
                changes.append(Change("mean", learner, f"mean of {len(pairs)}", metric, old, new, mean[metric]))
    return sorted(changes, key=lambda change: -change.excess)


def _pairs(before: Cells, after: Cells, learner: str, metric: str) -> dict[str, tuple[float, float]]:
    """{dataset: (before, after)} of one configuration where the metric is a number on both sides."""
    found = {}
    for name in before:
        old, new = _value(before[name], metric), _value(after[name], metric)
        if name[0] == learner and old is not None and new is not None:
            found[name[1]] = (old, new)
    return found


def _value(cell: Cell, metric: str) -> float | None:
    value: float | None = cell["mean"].get(metric)
    return value
