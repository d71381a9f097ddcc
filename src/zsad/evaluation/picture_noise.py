"""How much of a change the pictures explain: a bootstrap over pictures of before and after, paired by picture.

Both sides are scored from their stored predictions on the same draws of pictures, so what is hard for both cancels.
"""

from collections.abc import Iterable

from zsad.config.schema import MetricsParams
from zsad.evaluation.metrics.bootstrap import Draws
from zsad.evaluation.past_predictions import BothSides
from zsad.evaluation.regressions import Name
from zsad.evaluation.score import cell_draws, score_categories


def paired_draws(cells: Iterable[BothSides], metrics: MetricsParams) -> dict[Name, Draws]:
    """{cell: {metric: [1+B], after minus before in each draw of pictures}}."""
    found = {}
    for cell in cells:
        old, new = (cell_draws(score_categories(side, cell.manifest, metrics)) for side in (cell.before, cell.after))
        found[cell.name] = {metric: new[metric] - old[metric] for metric in new if metric in old}
    return found
