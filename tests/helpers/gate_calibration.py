"""How often would the gate call an unchanged tree regressed, and what drops would it catch?

    python -m tests.helpers.gate_calibration [--seeds N] DIR_A DIR_B ...

Each directory is a `metrics` of the same tree, trained afresh: with other seeds, or on another processor. One of 3 N
seeds counts as three with `--seeds N`. Every ordered pair is compared by the tolerances of ./params.yaml, as
`zsad gate` does, but whatever the seeds are called.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from scipy.special import stdtrit

from zsad.config.params import load_params
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import FALSE_ALARMS, Cells, Change, Tolerances, compare, shares
from zsad.evaluation.results import read_cell


def cells_of(metrics: Path) -> Cells:
    """All cells of a `metrics` directory that have values."""
    names = sorted((path.parent.name, path.stem) for path in metrics.glob("cells/*/*.json"))
    cells = {name: read_cell(*name, base=metrics / "cells") for name in names}
    return {name: cell for name, cell in cells.items() if not cell["reason"]}


def apart(name: str, cells: Cells, seeds: int) -> dict[str, Cells]:
    """The same cells as several trainings of `seeds` seeds each; what has one seed is in all of them."""
    counts = {len(cell["per_seed"]) for cell in cells.values()} - {1}
    if len(counts) != 1 or min(counts) % seeds:
        told = ", ".join(map(str, sorted(counts or {1})))
        raise SystemExit(f"{name}: cells have {told} seeds; wanted the same multiple of {seeds} in all")
    starts = range(0, counts.pop(), seeds)
    return {
        f"{name}[{start}:]": {key: _some_seeds(cell, slice(start, start + seeds)) for key, cell in cells.items()}
        for start in starts
    }


def _some_seeds(cell: Mapping[str, Any], which: slice) -> dict[str, Any]:
    if len(cell["per_seed"]) == 1:
        return dict(cell)
    chosen = dict(list(cell["per_seed"].items())[which])
    columns = {metric: [values.get(metric) for values in chosen.values()] for metric in METRICS}
    means = {metric: None if None in column else fmean(column) for metric, column in columns.items()}
    return {**cell, "per_seed": chosen, "mean": means}


def smallest_drop_caught(change: Change, share: float) -> float:
    """The drop at which this number would regress if it alone fell: Holm's first step, with this share of α."""
    if change.noise is None or change.df is None:
        return change.tolerance
    return max(change.tolerance, -float(stdtrit(change.df, FALSE_ALARMS * share)) * change.noise)


def report(sides: Mapping[str, Cells], cell: Tolerances, mean: Tolerances) -> None:
    """Print both answers. With one side only the drops, as if a second one spread like it."""
    pairs = list(itertools.permutations(sides, 2)) or [(next(iter(sides)),) * 2]
    verdicts = [compare({n: c for n, c in sides[a].items() if n in sides[b]}, sides[b], cell, mean) for a, b in pairs]
    for (a, b), changes in zip(pairs, verdicts, strict=True):
        bad = [f"{c.learner}/{c.dataset}/{c.metric} {c.change:+.3f}" for c in changes if c.regressed]
        print(f"{a} → {b}: {sum(c.within_spread for c in changes)} within the spread, regressed: {bad or 'none'}")
    print(f"\nregressed in {sum(any(c.regressed for c in v) for v in verdicts)} of {len(verdicts)} ordered pairs")
    _print_drops(verdicts)


def _print_drops(verdicts: Sequence[Sequence[Change]]) -> None:
    """Medians over numbers with noise, and over all pairs, of the smallest drop that would be called regressed."""
    drops: dict[tuple[str, str], list[float]] = {}
    for changes in verdicts:
        noisy = [change for change in changes if change.noise is not None]
        for change, share in zip(noisy, shares(noisy), strict=True):
            drops.setdefault((change.scope, change.metric), []).append(smallest_drop_caught(change, share))
    print("\nsmallest drop caught: median (least, most)")
    for scope, metric in itertools.product(("cell", "mean"), METRICS):
        found = drops.get((scope, metric), [])
        print(f"{scope} {metric:12} " + (f"{median(found):.3f} ({min(found):.3f}, {max(found):.3f})" if found else "-"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, help="of a training; a directory that has more is taken apart")
    parser.add_argument("directories", nargs="+", type=Path)
    options = parser.parse_args()
    sides: dict[str, Cells] = {}
    for directory in options.directories:
        cells = cells_of(directory)
        sides |= apart(str(directory), cells, options.seeds) if options.seeds else {str(directory): cells}
    gate = load_params().gate
    report(sides, gate.cell, gate.mean)


if __name__ == "__main__":
    main()
