"""`zsad gate --against REV`: do the result cells of the working tree hold up against those of a Git revision?

Verdicts: passed (exit 0), regressed (1), cannot_compare (2). A regression outweighs what cannot be compared, and that
outweighs a pass: a cell that is gone, a number that became undefined, other data, protocol, seeds or metric settings.
New cells are listed and pass. A drop beyond its tolerance that the seeds explain is listed, and does not regress.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zsad.common.errors import UserError
from zsad.config.params import PARAMS_FILE, Params
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import Cells, Change, Name, Tolerances, compare, lost_metrics, other_data, title
from zsad.evaluation.results import CELLS, cell_path, expected_cells, read_cell
from zsad.evaluation.revisions import cells_at, params_at, resolve

Status = Literal["passed", "regressed", "cannot_compare"]
EXIT_CODES: dict[Status, int] = {"passed": 0, "regressed": 1, "cannot_compare": 2}
ROWS_SHOWN = 20
DERIVED = ("change", "regressed", "within_spread")  # properties of a change that JSON holds beside its fields
SPREAD = "within the seeds' spread"
LEGEND = (
    "noise: standard error of the change, by its seeds; p: how often the seeds alone make such a drop, given all"
    " numbers compared. Where both are empty the seeds do not differ, and the tolerance alone decides."
)


@dataclass(frozen=True)
class Verdict:
    """The gate's answer: changes worst first, what could not be compared, cells without a predecessor, remarks."""

    against: str
    commit: str | None
    changes: list[Change]
    obstacles: list[str]
    new: list[str]
    notes: list[str]

    @property
    def status(self) -> Status:
        """passed, regressed or cannot_compare."""
        if any(change.regressed for change in self.changes):
            return "regressed"
        return "cannot_compare" if self.obstacles else "passed"

    @property
    def exit_code(self) -> int:
        """0, 1 or 2."""
        return EXIT_CODES[self.status]

    def as_dict(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        changes = [{**asdict(c), **{name: getattr(c, name) for name in DERIVED}} for c in self.changes]
        head = {"verdict": self.status, "exit_code": self.exit_code, "against": self.against, "commit": self.commit}
        return {**head, "changes": changes, "cannot_compare": self.obstacles, "new": self.new, "notes": self.notes}

    @property
    def markdown(self) -> str:
        """For a terminal or a pull request: the verdict, what stands in its way, the worst changes."""
        where = f"`{self.against}`" + (f" ({self.commit[:10]})" if self.commit else "")
        regressed, spread = (sum(getattr(c, name) for c in self.changes) for name in ("regressed", "within_spread"))
        counts = f"{len(self.changes)} numbers compared, {regressed} regressed"
        counts += f", {spread} fell by more than the tolerance {SPREAD}" if spread else ""
        counts += f"; {len(self.new)} new cells"
        parts = [f"## Metric gate: {self.status}", f"Against {where}: {counts}."]
        parts += _list("Cannot compare", self.obstacles) + _table(self.changes)
        parts += _list("New cells", self.new) + _list("Notes", self.notes)
        return "\n\n".join(parts) + "\n"


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
    new = [title(name) for name in after if name not in before]
    notes = _loosened(params, params_at(commit)) + _noise_unknown(params, changes, after)
    return Verdict(against, commit, changes, obstacles, new, notes)


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
        if key in trained and not params.configuration(key).is_imported
    ]


def _list(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"### {heading}\n\n" + "\n".join(f"- {line}" for line in lines)] if lines else []


def _table(changes: Sequence[Change]) -> list[str]:
    """Every drop beyond its tolerance, and the nearest to one up to `ROWS_SHOWN` rows."""
    moved = [change for change in changes if change.change]
    shown = moved[: max(ROWS_SHOWN, sum(change.regressed or change.within_spread for change in moved))]
    if not shown:
        return []
    lines = [
        "| | learner | dataset | metric | before | after | change | tolerance | noise | p |",
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|",
        *map(_row, shown),
    ]
    more = [f"{len(moved) - len(shown)} smaller changes are not shown."] if len(moved) > len(shown) else []
    return ["\n".join(lines), *more, *([LEGEND] if any(change.is_noisy for change in shown) else [])]


def _row(c: Change) -> str:
    verdict = "**regressed**" if c.regressed else SPREAD if c.within_spread else ""
    noise, p = ("" if value is None else f"{value:.{digits}}" for value, digits in ((c.noise, "4f"), (c.p, "2g")))
    return (
        f"| {verdict} | {c.learner} | {c.dataset} | {c.metric} "
        f"| {c.before:.4f} | {c.after:.4f} | {c.change:+.4f} | {c.tolerance:g} | {noise} | {p} |"
    )
