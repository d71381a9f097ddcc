"""`zsad compare`: two configurations, or several, from what is stored."""

from collections.abc import Sequence

from zsad.common.errors import UserError
from zsad.config.params import Params
from zsad.evaluation.comparison.many import ManyCompared, compare_many
from zsad.evaluation.comparison.two import TwoCompared, compare_two
from zsad.evaluation.metrics.names import METRICS

HEADLINE = "image_auroc"  # of many configurations, the metric whose pairs are drawn where none is named


def compare(
    params: Params, keys: Sequence[str] = (), dataset: str | None = None, metrics: Sequence[str] = ()
) -> TwoCompared | ManyCompared:
    """keys: two or more configurations, none = all; dataset: of two, only there; metrics: none = all."""
    named = list(keys) or list(params.rows)
    for key in named:
        params.row(key)
    for metric in metrics:
        if metric not in METRICS:
            raise UserError(f"compare: --metric {metric}: no such metric; there are: {', '.join(METRICS)}")
    if len(set(named)) < max(2, len(named)):
        raise UserError("compare: name two different configurations or more, or none for all of them")
    if dataset is not None:
        params.dataset(dataset)
    if len(named) == 2:
        datasets = [dataset] if dataset else list(params.datasets)
        return compare_two(params, named[0], named[1], datasets, metrics or METRICS)
    if dataset is not None:
        raise UserError(f"compare: --dataset {dataset}: ranks need several datasets; name two configurations with it")
    return compare_many(params, named, metrics or METRICS, metrics or [HEADLINE])
