"""How often would the gate call an unchanged tree regressed, and what drops would it catch?

    python -m tests.helpers.gate_calibration DIR_A DIR_B ...

Each directory is a `metrics` of the same tree, trained afresh: with other seeds, or on another processor. Every ordered
pair is compared by the tolerances of ./params.yaml, as `zsad gate` does, but whatever the seeds are called.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from scipy.special import stdtrit

from zsad.config.params import load_params
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import FALSE_ALARMS, Cells, Change, Tolerances, compare
from zsad.evaluation.results import read_cell


def cells_of(metrics: Path) -> Cells:
    """All cells of a `metrics` directory that have values."""
    names = sorted((path.parent.name, path.stem) for path in metrics.glob("cells/*/*.json"))
    cells = {name: read_cell(*name, base=metrics / "cells") for name in names}
    return {name: cell for name, cell in cells.items() if not cell["reason"]}


def smallest_drop_caught(change: Change, numbers: int) -> float:
    """The drop at which this number would regress if it alone fell: Holm's first step among `numbers`."""
    if change.noise is None or change.df is None:
        return change.tolerance
    return max(change.tolerance, -float(stdtrit(change.df, FALSE_ALARMS / numbers)) * change.noise)


def report(directories: Sequence[Path], cell: Tolerances, mean: Tolerances) -> None:
    """Print both answers. With one directory only the drops, as if a second one spread like it."""
    sides = {directory: cells_of(directory) for directory in directories}
    pairs = list(itertools.permutations(sides, 2)) or [(directories[0], directories[0])]
    verdicts = [compare({n: c for n, c in sides[a].items() if n in sides[b]}, sides[b], cell, mean) for a, b in pairs]
    for (a, b), changes in zip(pairs, verdicts, strict=True):
        bad = [f"{c.learner}/{c.dataset}/{c.metric} {c.change:+.3f}" for c in changes if c.regressed]
        print(
            f"{a} → {b}: {sum(c.within_spread for c in changes)} within the seeds' spread, regressed: {bad or 'none'}"
        )
    print(f"\nregressed in {sum(any(c.regressed for c in v) for v in verdicts)} of {len(verdicts)} ordered pairs")
    _print_drops(verdicts)


def _print_drops(verdicts: Sequence[Sequence[Change]]) -> None:
    """Medians over numbers with noise, and over all pairs, of the smallest drop that would be called regressed."""
    drops: dict[tuple[str, str], list[float]] = {}
    for changes in verdicts:
        noisy = [change for change in changes if change.noise is not None]
        for change in noisy:
            drops.setdefault((change.scope, change.metric), []).append(smallest_drop_caught(change, len(noisy)))
    print("\nsmallest drop caught: median (least, most)")
    for scope, metric in itertools.product(("cell", "mean"), METRICS):
        found = drops.get((scope, metric), [])
        print(f"{scope} {metric:12} " + (f"{median(found):.3f} ({min(found):.3f}, {max(found):.3f})" if found else "-"))


if __name__ == "__main__":
    gate = load_params().gate
    report([Path(name) for name in sys.argv[1:]], gate.cell, gate.mean)
