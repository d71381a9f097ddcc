"""How often the gate calls an unchanged tree a regression, from trainings that differ in seeds or bits alone.

`python -m tests.helpers.gate_calibration DIR DIR…`: each holds cells/KEY/DATASET.json, as metrics/ does. Every ordered
pair is compared by the tolerances of params.yaml. Beside that, for each metric, the drop of a single cell from which on
the verdict would be `regressed` (median over cells and pairs).
"""

import sys
from itertools import permutations
from pathlib import Path
from statistics import median

from scipy.special import stdtrit

from zsad.config.params import load_params
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import FALSE_ALARMS, Cells, Change, compare
from zsad.evaluation.results import parse_cell


def read(directory: Path) -> Cells:
    """The cells of one training, those without a meaning left out."""
    found = {
        (path.parent.name, path.stem): parse_cell(path.read_text(), str(path))
        for path in directory.glob("cells/*/*.json")
    }
    return {name: cell for name, cell in found.items() if not cell["reason"]}


def smallest(change: Change, count: int) -> float:
    """The drop of this number that is called a regression, where it is the most striking one of `count`."""
    if change.noise is None:
        return change.tolerance
    return max(change.tolerance, float(-stdtrit(change.df, FALSE_ALARMS / count)) * change.noise)


def main(directories: list[str]) -> None:
    """Print both."""
    gate = load_params().gate
    trainings = [read(Path(name)) for name in directories]
    verdicts = [compare(a, b, gate.cell, gate.mean) for a, b in permutations(trainings, 2)]
    regressed = [[change for change in changes if change.regressed] for changes in verdicts]
    print(f"{len(verdicts)} comparisons, {sum(map(bool, regressed))} regressed")
    for change in (change for changes in regressed for change in changes):
        print(f"  {change.learner} {change.dataset} {change.metric} {change.change:+.3f} p {change.p}")
    for metric in METRICS:
        drops = [
            smallest(change, len(changes))
            for changes in verdicts
            for change in changes
            if (change.scope, change.metric) == ("cell", metric) and change.noise is not None
        ]
        print(f"{metric}: {median(drops):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
