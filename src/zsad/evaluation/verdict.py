"""What the gate says, as it is read: Markdown for people, a dictionary for JSON, JUnit XML for CI."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zsad.evaluation.regressions import Change

Status = Literal["passed", "regressed", "cannot_compare"]
EXIT_CODES: dict[Status, int] = {"passed": 0, "regressed": 1, "cannot_compare": 2}
ROWS_SHOWN = 20
DERIVED = ("change", "fell", "regressed", "within_spread")  # properties of a change that JSON holds beside its fields
SPREAD = "within the spread"
LEGEND = (
    "noise: standard error of the change, by its seeds and, where the predictions of both sides are at hand, by the"
    " choice of pictures; p: how often these alone make such a drop, given all numbers compared. Where both are empty"
    " the seeds do not differ, and the tolerance alone decides."
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
        accepted = sum(c.accepted is not None for c in self.changes)
        counts = f"{len(self.changes)} numbers compared, {regressed} regressed"
        counts += f", {accepted} fell as declared" if accepted else ""
        counts += f", {spread} fell by more than the tolerance {SPREAD}" if spread else ""
        counts += f"; {len(self.new)} new cells"
        parts = [f"## Metric gate: {self.status}", f"Against {where}: {counts}."]
        parts += _list("Cannot compare", self.obstacles) + _table(self.changes)
        reasons = dict.fromkeys(f"{c.learner} on {c.dataset}: {c.accepted}" for c in self.changes if c.accepted)
        parts += _list("Declared in metrics/accepted.yaml", list(reasons))
        parts += _list("New cells", self.new) + _list("Notes", self.notes)
        return "\n\n".join(parts) + "\n"

    @property
    def junit(self) -> str:
        """JUnit XML: a test case a cell and a mean, failed where it regressed; one in error for each obstacle."""
        cells = {
            (c.learner, c.dataset): [d for d in self.changes if (d.learner, d.dataset) == (c.learner, c.dataset)]
            for c in self.changes
        }
        failed = {name: [c for c in changes if c.regressed] for name, changes in cells.items()}
        counts = {"tests": len(cells) + len(self.obstacles), "failures": sum(map(bool, failed.values()))}
        head = {"name": "zsad gate", **counts, "errors": len(self.obstacles)}
        suite = ET.Element("testsuite", {name: str(value) for name, value in head.items()})
        for (learner, dataset), changes in failed.items():
            case = ET.SubElement(suite, "testcase", classname=f"gate.{learner}", name=dataset)
            if changes:
                told = "\n".join(
                    f"{c.metric}: {c.before:.4f} → {c.after:.4f} (tolerance {c.tolerance:g})" for c in changes
                )
                ET.SubElement(case, "failure", message=f"{learner} on {dataset} regressed").text = told
        for line in self.obstacles:
            case = ET.SubElement(suite, "testcase", classname="gate", name="cannot compare")
            ET.SubElement(case, "error", message=line)
        return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _list(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"### {heading}\n\n" + "\n".join(f"- {line}" for line in lines)] if lines else []


def _table(changes: Sequence[Change]) -> list[str]:
    """Every drop beyond its tolerance, and the nearest to one up to `ROWS_SHOWN` rows."""
    moved = [change for change in changes if change.change]
    shown = moved[: max(ROWS_SHOWN, sum(change.fell or change.within_spread for change in moved))]
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
    verdict = "**regressed**" if c.regressed else "declared" if c.fell else SPREAD if c.within_spread else ""
    noise, p = ("" if value is None else f"{value:.{digits}}" for value, digits in ((c.noise, "4f"), (c.p, "2g")))
    return (
        f"| {verdict} | {c.learner} | {c.dataset} | {c.metric} "
        f"| {c.before:.4f} | {c.after:.4f} | {c.change:+.4f} | {c.tolerance:g} | {noise} | {p} |"
    )
