"""metrics/accepted.yaml: changes for the worse that are meant, so that the gate lets them pass once.

    - cells: "cops/*"          # configuration/dataset, as a glob; configuration/mean is its mean
      metrics: [image_auroc]   # all, where left out
      reason: prompts as in the second version of the paper
      base: 4f2c1d9            # the commit that it is measured against, 7 digits or more

A declaration holds as long as the cells that it names are at the compared revision what they are at `base`. Once it is
merged they are not, and it has expired.
"""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from zsad.common.errors import UserError
from zsad.config.validation import validate
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import Cells, Change, Name
from zsad.evaluation.revisions import cells_at, resolve

ACCEPTED = Path("metrics/accepted.yaml")
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Declaration(BaseModel):
    """One entry of metrics/accepted.yaml."""

    model_config = ConfigDict(extra="forbid")

    cells: Text
    metrics: list[str] = Field(default_factory=lambda: list(METRICS), min_length=1)
    reason: Text
    base: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,40}$")]

    def covers(self, change: Change) -> bool:
        """Whether it speaks of this number."""
        dataset = "mean" if change.scope == "mean" else change.dataset
        return change.metric in self.metrics and fnmatchcase(f"{change.learner}/{dataset}", self.cells)

    def concerns(self, name: Name) -> bool:
        """Whether a number that it may speak of depends on this cell."""
        return any(fnmatchcase(f"{name[0]}/{dataset}", self.cells) for dataset in (name[1], "mean"))

    @property
    def told(self) -> str:
        """How notes name it."""
        return f"{ACCEPTED}: `{self.cells}` ({self.reason})"


def read_accepted(path: Path = ACCEPTED) -> list[Declaration]:
    """The declarations; none without the file. A UserError names what is wrong with one."""
    if not path.is_file():
        return []
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(entries, list):
        raise UserError(f"{path}: must be a list of declarations, each with cells, reason and base")
    declarations = [validate(Declaration, entry, f"{path}: entry {n}") for n, entry in enumerate(entries, 1)]
    for n, declaration in enumerate(declarations, 1):
        if unknown := set(declaration.metrics) - set(METRICS):
            known = ", ".join(METRICS)
            raise UserError(f"{path}: entry {n}: metrics: {', '.join(sorted(unknown))}: there are {known}")
    return declarations


def accept(
    changes: Sequence[Change], declarations: Sequence[Declaration], before: Cells
) -> tuple[list[Change], list[str]]:
    """(the changes, with the reason at those that are declared; a note on each declaration that is of no use now)."""
    notes, valid = [], []
    for declaration in declarations:
        covered = [change for change in changes if declaration.covers(change) and change.fell]
        if trouble := _expired(declaration, before):
            notes.append(f"{declaration.told}: {trouble}")
        elif not covered:
            notes.append(f"{declaration.told}: nothing that it names fell; delete it")
        else:
            valid.append(declaration)
    return [_with_reason(change, valid) for change in changes], notes


def _with_reason(change: Change, declarations: Sequence[Declaration]) -> Change:
    reasons = [one.reason for one in declarations if one.covers(change)]
    return replace(change, accepted=reasons[0]) if reasons and change.fell else change


def _expired(declaration: Declaration, before: Cells) -> str | None:
    """Why it does not hold against the cells `before`, or None."""
    commit = resolve(declaration.base)
    if commit is None:
        return f"no commit {declaration.base} in this repository, so it is not counted; fetch it, or mend `base`"
    there, _ = cells_at(commit)
    named = [name for name in before if declaration.concerns(name)]
    if any(there.get(name) != before[name] for name in named):
        return f"expired: its cells have changed since {declaration.base}; delete it, or declare it anew"
    return None
