"""`zsad gate --against REV`: do the result cells of the working tree hold up against those of a Git revision?

Verdicts: passed (exit 0), regressed (1), cannot_compare (2). A regression outweighs what cannot be compared, and that
outweighs a pass: a cell that is gone, a number that became undefined, other data, protocol, seeds or metric settings.
New cells are listed and pass. A drop beyond its tolerance that chance explains, or that metrics/accepted.yaml declares,
is listed, and does not regress.
"""

import math
from collections.abc import Sequence
from typing import Any

from zsad.common.errors import UserError
from zsad.config.params import PARAMS_FILE, Params
from zsad.evaluation.accepted import accept, read_accepted
from zsad.evaluation.metrics.bootstrap import Draws
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import (
    SLACK,
    Cells,
    Change,
    Name,
    Tolerances,
    compare,
    lost_metrics,
    other_data,
    title,
    worst_first,
)
from zsad.evaluation.results import CELLS, cell_path, expected_cells, read_cell
from zsad.evaluation.revisions import cells_at, params_at, resolve
from zsad.evaluation.verdict import Verdict


def gate(params: Params, against: str) -> Verdict:
    """Compare metrics/cells of the working tree with Git revision `against`, by the tolerances of params.yaml."""
    limits = {scope: _tolerances(params, scope) for scope in ("cell", "mean")}
    commit = resolve(against)
    if commit is None:
        remedy = f"no revision {against!r} in this repository; fetch it first (`git fetch origin`; in CI with history)"
        return Verdict(against, None, [], [remedy], [], [])
    before, obstacles = cells_at(commit)
    if not before and not obstacles:
        obstacles.append(f"no results in {CELLS}/ at {against}; choose a revision with committed metrics")
    after = {name: read_cell(*name) for name in expected_cells(params) if cell_path(*name).is_file()}
    shared = [name for name in before if name in after]
    changed = {name: other_data(name, before[name], after[name]) for name in shared}
    comparable = {name: before[name] for name in shared if not changed[name]}
    obstacles += _absent(params, before, after)
    obstacles += [line for lines in changed.values() for line in lines]
    obstacles += [line for name in comparable for line in lost_metrics(name, before[name], after[name])]
    changes = compare(comparable, after, limits["cell"], limits["mean"])
    draws = _draws(params, commit, changes, comparable, after)
    changes = compare(comparable, after, limits["cell"], limits["mean"], draws) if draws else changes
    changes, remarks = accept(changes, read_accepted(), before)
    new = [title(name) for name in after if name not in before]
    notes = _loosened(params, params_at(commit)) + _noise_unknown(params, changes, after)
    return Verdict(against, commit, worst_first(changes), obstacles, new, notes + remarks)


def _draws(params: Params, commit: str, changes: Sequence[Change], before: Cells, after: Cells) -> dict[Name, Draws]:
    """Draws of pictures for the configurations with a drop beyond its tolerance: only there do they matter."""
    fallen = {change.learner for change in changes if change.excess > SLACK}
    names = [name for name in before if name[0] in fallen]
    if not names:
        return {}
    from zsad.evaluation.past_predictions import both_sides  # they bring what scores
    from zsad.evaluation.picture_noise import paired_draws

    return paired_draws(both_sides(commit, names, before, after), params.metrics)


def _absent(params: Params, before: Cells, after: Cells) -> list[str]:
    """Cells that there were, or that params.yaml asks for, and that are not there."""
    expected = expected_cells(params)
    return [
        f"{title(name)}: {_why_absent(name, expected)}"
        for name in dict.fromkeys([*before, *expected])
        if name not in after
    ]


def _why_absent(name: Name, expected: Sequence[Name]) -> str:
    if name not in expected:
        return f"has results there, but {PARAMS_FILE} no longer asks for it"
    return f"no {cell_path(*name)}; run `dvc repro`"


def _tolerances(params: Params, scope: str) -> Tolerances:
    values: dict[str, float] = getattr(params.gate, scope)
    for metric in METRICS:
        where = f"{PARAMS_FILE}: gate.{scope}.{metric}"
        if metric not in values:
            raise UserError(f"{where}: required: the largest drop that passes (1 = never fail on this metric)")
        if not (math.isfinite(values[metric]) and values[metric] >= 0):
            raise UserError(f"{where}: {values[metric]} is no tolerance; give a number from 0 to 1")
    return values


def _loosened(params: Params, there: dict[str, Any]) -> list[str]:
    """Tolerances that are larger than at the other revision: a reviewer should see that."""
    notes = []
    for scope in ("cell", "mean"):
        old = (there.get("gate") or {}).get(scope) or {}
        for metric, value in getattr(params.gate, scope).items():
            if isinstance(old.get(metric), int | float) and value > old[metric]:
                notes.append(f"tolerance gate.{scope}.{metric} was raised from {old[metric]} to {value}")
    return notes


def _noise_unknown(params: Params, changes: Sequence[Change], after: Cells) -> list[str]:
    """Configurations that are trained or draw shots, with too few seeds to tell how far chance alone moves them."""
    trained = {key for (key, _), cell in after.items() if cell["source"] is not None or cell["shots"]}
    return [
        f"{key}: one seed, so what chance alone moves is unknown and the tolerance alone decides; "
        f"two or more under `seeds` in {PARAMS_FILE} would tell"
        for key in dict.fromkeys(change.learner for change in changes if change.one_seed)
        if key in trained and not params.row(key).is_imported
    ]
