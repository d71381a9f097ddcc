"""How often does the gate's whole verdict err, and what drops does it catch? From a pool of many trained seeds.

    python -m tests.helpers.gate_power [--seeds 3 5 10] [--trials 2000] REPOSITORY CONFIGURATION...

REPOSITORY has predictions of the configurations with many seeds. A trial draws k of them as before and k others as
after (of an untrained configuration both are the same), and a set of pictures with replacement, the same for both.
Drops are simulated: every image AUROC of the first configuration is lowered by so much afterwards. Printed: the share
of trials whose verdict is `regressed`, and the share in which a number that was lowered is; by seeds alone, and with
the predictions of both sides at hand.
"""

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zsad.config.params import Params, load_params
from zsad.datasets.manifest import load_manifest
from zsad.evaluation.metrics.bootstrap import Draws
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import Name, compare
from zsad.evaluation.results import read_cell
from zsad.evaluation.score import cell_draws, score_categories
from zsad.inference.stored import PREDICTIONS, Predictions

DROPS = (0.0, 0.01, 0.02, 0.05)
LOWERED = "image_auroc"


@dataclass
class Pool:
    """One cell: its result as it stands, and its metrics by seed in each draw of pictures [seeds,1+B]."""

    cell: dict[str, Any]
    draws: Draws

    @property
    def seeds(self) -> int:
        return len(next(iter(self.draws.values())))

    def side(self, seeds: Sequence[int], pictures: int, drop: float) -> dict[str, Any]:
        """The cell that these seeds and pictures would have made, image AUROC lowered."""
        rows = {
            str(i): {m: float(v[s, pictures]) - drop * (m == LOWERED) for m, v in self.draws.items()}
            for i, s in enumerate(seeds)
        }
        means = {m: float(np.mean([row[m] for row in rows.values()])) for m in self.draws}
        return {**self.cell, "per_seed": rows, "mean": {**dict.fromkeys(METRICS), **means}}


def pools(params: Params, keys: Sequence[str]) -> Iterator[tuple[Name, Pool]]:
    """Every cell of the configurations, scored seed by seed from the current directory's predictions."""
    for key in keys:
        for dataset in params.datasets:
            predictions = Predictions.open(PREDICTIONS / key / dataset)
            if predictions.info.reason:
                continue
            manifest, found = load_manifest(dataset), []
            for seed in predictions.info.seeds:
                one = replace(predictions, info=replace(predictions.info, seeds=[seed]))
                found.append(cell_draws(score_categories(one, manifest, params.metrics)))
            yield (key, dataset), Pool(read_cell(key, dataset), {m: np.stack([d[m] for d in found]) for m in found[0]})


def verdicts(
    cells: dict[Name, Pool], params: Params, k: int, drop: float, rng: np.random.Generator
) -> Iterator[tuple[bool, bool]]:
    """(whole verdict regressed, a lowered number regressed) of one trial, by seeds alone and with pictures."""
    first = next(iter(cells))[0]
    chosen = {
        key: rng.permutation(pool.seeds)[: 2 * k] if pool.seeds > 1 else np.zeros(2, dtype=int)
        for (key, _), pool in cells.items()
    }
    pictures = int(rng.integers(1, 1 + 1000))
    before, after, paired = {}, {}, {}
    for name, pool in cells.items():
        half = len(chosen[name[0]]) // 2
        old, new = chosen[name[0]][:half], chosen[name[0]][half:]
        before[name] = pool.side(old, pictures, 0.0)
        after[name] = pool.side(new, pictures, drop if name[0] == first else 0.0)
        paired[name] = {m: v[new].mean(0) - v[old].mean(0) for m, v in pool.draws.items()}
    for draws in (None, paired):
        changes = compare(before, after, params.gate.cell, params.gate.mean, draws)
        fell = [change for change in changes if change.regressed]
        yield bool(fell), any((change.learner, change.metric) == (first, LOWERED) for change in fell)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("repository", type=Path)
    parser.add_argument("configurations", nargs="+")
    options = parser.parse_args()
    with contextlib.chdir(options.repository):
        params = load_params()
        cells = dict(pools(params, options.configurations))
    rng = np.random.default_rng(0)
    print("| seeds | drop | regressed: seeds | with pictures | lowered number found: seeds | with pictures |")
    print("|--:|--:|--:|--:|--:|--:|")
    for k in options.seeds:
        for drop in DROPS:
            trials = np.array([list(verdicts(cells, params, k, drop, rng)) for _ in range(options.trials)])
            (alarm, found), (alarm_paired, found_paired) = trials.mean(0)
            print(
                f"| {k} | {drop:.2f} | {alarm:.3f} | {alarm_paired:.3f} | {found:.3f} | {found_paired:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
