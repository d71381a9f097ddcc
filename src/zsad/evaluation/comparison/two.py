"""Two configurations: paired bootstrap over pictures, DeLong for image AUROCs, Wilcoxon over datasets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zsad.common.errors import UserError
from zsad.common.progress import progress
from zsad.config.params import Params
from zsad.evaluation.comparison.delong import DeLong, combined, delong
from zsad.evaluation.comparison.paired import Difference, Side, difference, shared_categories
from zsad.evaluation.comparison.ranks import ALPHA, least_wilcoxon, wilcoxon
from zsad.evaluation.comparison.sides import LEAST, Stored, stored, unlike
from zsad.evaluation.seed_noise import holm


@dataclass(frozen=True)
class OnDataset:
    """One dataset: differences by metric, DeLong of the dataset's image AUROC and of each category's."""

    differences: tuple[Difference, ...]
    delong: DeLong | None
    delong_by_category: dict[str, DeLong]


@dataclass(frozen=True)
class TwoCompared:
    """The answer. differences: of the means over `datasets`; adjusted: their p after Holm over the metrics.

    wilcoxon: {metric: p over datasets}; where there is one dataset, empty. remarks: what makes a and b unlike.
    """

    a: str
    b: str
    datasets: dict[str, OnDataset]
    differences: tuple[Difference, ...]
    adjusted: dict[str, float]
    wilcoxon: dict[str, float]
    left_out: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def least_wilcoxon(self) -> float:
        """The smallest p that Wilcoxon's test can give over these datasets."""
        return least_wilcoxon(len(self.datasets))

    def better(self, metric: str) -> str | None:
        """The better one in a metric, where that is sure."""
        if self.adjusted[metric] > ALPHA:
            return None
        (found,) = (d for d in self.differences if d.metric == metric)
        return self.a if found.difference > 0 else self.b


def compare_two(params: Params, a: str, b: str, datasets: Sequence[str], metrics: Sequence[str]) -> TwoCompared:
    """Of stored predictions. A dataset where one is not applicable is left out, and an error if it is the only one."""
    pairs = {dataset: (stored(a, dataset), stored(b, dataset)) for dataset in datasets}
    left_out = {name: why for name, pair in pairs.items() if (why := _not_applicable(pair))}
    if len(left_out) == len(pairs):
        raise UserError("nothing to compare: " + "; ".join(left_out.values()))
    pairs = {name: pair for name, pair in pairs.items() if name not in left_out}
    for side in zip(*pairs.values(), strict=True):
        _check_seeds(side)
    told = progress(pairs.items(), len(pairs), "datasets")
    sides = {name: (x.side(params, metrics), y.side(params, metrics)) for name, (x, y) in told}
    by_dataset = {name: _on_dataset(pairs[name], sides[name], metrics) for name in pairs}
    found = _differences(list(sides.values()), metrics)
    if not found:
        raise UserError(f"{a} and {b} share no dataset that defines {', '.join(metrics)}")
    adjusted = holm(np.array([each.judged.p for each in found]))
    return TwoCompared(
        a=a,
        b=b,
        datasets=by_dataset,
        differences=found,
        adjusted=dict(zip((each.metric for each in found), adjusted.tolist(), strict=True)),
        wilcoxon={each.metric: _over_datasets(each.metric, by_dataset) for each in found} if len(pairs) > 1 else {},
        left_out=(
            *left_out.values(),
            *_categories_left_out(sides, metrics),
            *(_without_delong(sides, by_dataset) if "image_auroc" in metrics else []),
        ),
        remarks=tuple(unlike([x.info for x, _ in pairs.values()], [y.info for _, y in pairs.values()])),
    )


def _not_applicable(pair: tuple[Stored, Stored]) -> str:
    reasons = [f"{one.info.learner}: {one.info.reason}" for one in pair if one.info.reason]
    return f"{pair[0].manifest.dataset}: not applicable ({'; '.join(reasons)})" if reasons else ""


def _check_seeds(side: Sequence[Stored]) -> None:
    """One configuration must have the same seeds on all datasets: its seeds' means are over all of them."""
    other = next((one for one in side if one.info.seeds != side[0].info.seeds), None)
    if other is not None:
        raise UserError(
            f"{other.predictions.directory}: other seeds than {side[0].predictions.directory} has; run `dvc repro`"
        )


def _differences(sides: Sequence[tuple[Side, Side]], metrics: Sequence[str]) -> tuple[Difference, ...]:
    found = (difference(metric, sides) for metric in metrics)
    return tuple(each for each in found if each is not None)


def _on_dataset(pair: tuple[Stored, Stored], sides: tuple[Side, Side], metrics: Sequence[str]) -> OnDataset:
    differences = _differences([sides], metrics)
    a, b = (one.placements() if "image_auroc" in metrics else {} for one in pair)
    categories = {name: delong(a[name], b[name]) for name in a if name in b}
    return OnDataset(differences, combined(list(categories.values())) if categories else None, categories)


def _over_datasets(metric: str, datasets: dict[str, OnDataset]) -> float:
    values = [each.difference for one in datasets.values() for each in one.differences if each.metric == metric]
    return wilcoxon(np.array(values))


def _categories_left_out(sides: dict[str, tuple[Side, Side]], metrics: Sequence[str]) -> list[str]:
    """Categories that one of the two has no value for, by dataset."""
    lines = []
    for name, (a, b) in sides.items():
        shared = {c for metric in metrics for c in shared_categories(a.categories, b.categories, metric)}
        lacking = [c for c in a.categories if c not in shared]
        if shared and lacking:
            lines.append(f"{name}: without {', '.join(lacking)}, for which one of the two has no number")
    return lines


def _without_delong(sides: dict[str, tuple[Side, Side]], datasets: dict[str, OnDataset]) -> list[str]:
    """Categories whose AUROC DeLong cannot judge, so that its mean is over fewer."""
    lines = []
    for name, (a, b) in sides.items():
        shared = shared_categories(a.categories, b.categories, "image_auroc")
        if lacking := [c for c in shared if c not in datasets[name].delong_by_category]:
            few = f"fewer than {LEAST} normal or {LEAST} anomalous pictures"
            lines.append(f"{name}: DeLong without {', '.join(lacking)}: {few}")
    return lines
