"""Three and more configurations: rank tests over datasets, and a paired bootstrap where datasets are too few."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from zsad.common.errors import UserError
from zsad.common.progress import progress
from zsad.config.params import Params
from zsad.evaluation.comparison.paired import Difference, Side, difference
from zsad.evaluation.comparison.ranks import ALPHA, RankTest, rank_test
from zsad.evaluation.comparison.sides import stored
from zsad.evaluation.results import Cell, read_cell
from zsad.evaluation.seed_noise import holm
from zsad.inference.ensemble import have_predictions
from zsad.inference.stored import PREDICTIONS


@dataclass(frozen=True)
class PairDifference:
    """Two configurations by the paired bootstrap; `adjusted`: p after Holm over all pairs."""

    a: str
    b: str
    difference: Difference
    adjusted: float

    @property
    def better(self) -> str | None:
        """The better one, where that is sure."""
        if self.adjusted > ALPHA:
            return None
        return self.a if self.difference.difference > 0 else self.b


@dataclass(frozen=True)
class ManyCompared:
    """The answer. ranks: {metric: tests over the datasets that all of `learners` have it on}.

    pairs: {metric: paired bootstrap of all pairs}, of metrics whose datasets are too few for ranks to tell pairs apart.
    """

    learners: tuple[str, ...]
    ranks: dict[str, RankTest]
    pairs: dict[str, tuple[PairDifference, ...]]
    left_out: tuple[str, ...]
    remarks: tuple[str, ...]


def compare_many(params: Params, keys: Sequence[str], metrics: Sequence[str], paired: Iterable[str]) -> ManyCompared:
    """Ranks from metrics/cells; of the metrics `paired`, the bootstrap too where ranks cannot tell pairs apart.

    That reads stored predictions; where there are none, a remark says how to get them.
    """
    cells = {key: {dataset: read_cell(key, dataset) for dataset in params.datasets} for key in keys}
    shared = {metric: _shared(cells, metric) for metric in metrics}
    shared = {metric: datasets for metric, datasets in shared.items() if datasets}
    if not shared:
        raise UserError(f"no dataset has a number of every configuration; {_fewest(cells)}")
    ranks = {
        metric: rank_test(metric, {key: [cells[key][d]["mean"][metric] for d in datasets] for key in keys}, datasets)
        for metric, datasets in shared.items()
        if len(datasets) > 1
    }
    short = {m: shared[m] for m in paired if m in shared and not (m in ranks and ranks[m].can_tell)}
    read = {dataset for datasets in short.values() for dataset in datasets}
    absent = [key for key in keys if not all(have_predictions(key, dataset) for dataset in read)]
    pairs = {} if absent else {metric: _pairs(params, keys, datasets, metric) for metric, datasets in short.items()}
    remarks = _unlike(cells)
    if absent:
        remarks.append(
            f"no predictions of {', '.join(absent)} below {PREDICTIONS}, so no bootstrap over pictures; run `dvc repro`"
            " or `dvc pull`"
        )
    return ManyCompared(tuple(keys), ranks, pairs, tuple(_left_out(params, cells, shared)), tuple(remarks))


def _shared(cells: dict[str, dict[str, Cell]], metric: str) -> list[str]:
    """Datasets on which every configuration has the metric: ranks over different sets would not be comparable."""
    datasets = next(iter(cells.values()))
    return [d for d in datasets if all(own[d]["mean"].get(metric) is not None for own in cells.values())]


def _pairs(params: Params, keys: Sequence[str], datasets: Sequence[str], metric: str) -> tuple[PairDifference, ...]:
    wanted = [(key, dataset) for key in keys for dataset in datasets]
    told = progress(wanted, len(wanted), f"bootstrap, {metric}")
    sides: dict[tuple[str, str], Side] = {(k, d): stored(k, d).side(params, [metric]) for k, d in told}
    found = []
    for a, b in combinations(keys, 2):
        each = difference(metric, [(sides[a, d], sides[b, d]) for d in datasets])
        if each is not None:
            found.append(PairDifference(a, b, each, 1.0))
    adjusted = holm(np.array([pair.difference.judged.p for pair in found]))
    return tuple(replace(pair, adjusted=float(p)) for pair, p in zip(found, adjusted, strict=True))


def _unlike(cells: dict[str, dict[str, Cell]]) -> list[str]:
    """What a reader must know before believing an order."""
    first = {key: next(iter(own.values())) for key, own in cells.items()}
    remarks = []
    paper = [key for key, cell in first.items() if cell["protocol"] == "paper"]
    if paper and len(paper) < len(first):
        remarks.append(f"{', '.join(paper)}: protocol `paper`, which reads the target, beside `strict`, which does not")
    few_shot = [f"{key} ({cell['shots']})" for key, cell in first.items() if cell["shots"]]
    if few_shot and len(few_shot) < len(first):
        remarks.append(f"{', '.join(few_shot)}: have seen normal pictures of the target, the others none")
    return remarks


def _left_out(params: Params, cells: dict[str, dict[str, Cell]], shared: dict[str, list[str]]) -> list[str]:
    """Datasets that no test uses, and which configurations have nothing there."""
    used = {dataset for datasets in shared.values() for dataset in datasets}
    return [
        f"{dataset}: no numbers of {', '.join(key for key, own in cells.items() if not _numbers(own[dataset]))}"
        for dataset in params.datasets
        if dataset not in used
    ]


def _numbers(cell: Cell) -> int:
    return sum(value is not None for value in cell["mean"].values())


def _fewest(cells: dict[str, dict[str, Cell]]) -> str:
    counts = {key: sum(_numbers(cell) > 0 for cell in own.values()) for key, own in cells.items()}
    key = min(counts, key=lambda name: counts[name])
    return f"{key} has the fewest ({counts[key]}): name the configurations to compare, `zsad compare KEY KEY KEY`"
