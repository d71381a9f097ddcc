"""Changes for the worse that are declared in metrics/accepted.yaml."""

import subprocess
from pathlib import Path

import pytest

from tests.helpers.gate_cases import commit_all, make_cell, repo, run, write_cell
from zsad.common.errors import UserError
from zsad.evaluation.accepted import ACCEPTED

__all__ = ["repo"]  # the fixture, by which pytest finds it


def head() -> str:
    return subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()


def declare(cells: str = "cops/*", base: str | None = None, rest: str = "") -> None:
    ACCEPTED.write_text(
        f'- {{cells: "{cells}", reason: the second version of its prompts, base: "{base or head()}"{rest}}}\n'
    )


def test_a_declared_drop_passes_and_is_shown_with_its_reason(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=0.7)
    assert run().status == "regressed"
    declare()
    verdict = run()
    assert verdict.status == "passed"
    assert "2 fell as declared" in verdict.markdown  # the cell and the mean
    assert "| declared | cops | wood | pixel_ap |" in verdict.markdown
    assert "cops on wood: the second version of its prompts" in verdict.markdown
    assert verdict.as_dict()["changes"][0]["accepted"] == "the second version of its prompts"
    assert "<failure" not in verdict.junit


@pytest.mark.parametrize(
    ("cells", "rest", "left"),
    [
        ("cops/wood", "", {("cops", "mean of 2")}),
        ("cops/mean", "", {("cops", "wood")}),
        ("clip_*/*", "", {("cops", "wood"), ("cops", "mean of 2")}),
        ("*", ", metrics: [image_ap]", {("cops", "wood"), ("cops", "mean of 2")}),
        ("*", ", metrics: [pixel_ap, image_ap]", set()),
    ],
)
def test_it_covers_what_it_names(repo: Path, cells: str, rest: str, left: set[tuple[str, str]]) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=0.7)
    declare(cells, rest=rest)
    assert {(change.learner, change.dataset) for change in run().changes if change.regressed} == left


def test_it_expires_with_the_next_base_and_not_before(repo: Path) -> None:
    """Others may land in between; once the declared cells themselves have, it covers no further drop."""
    declare()
    write_cell(make_cell("clip_zero", "wood", 0.9))
    commit_all()
    write_cell(make_cell("cops", "wood"), pixel_ap=0.7)
    assert run().status == "passed"
    commit_all()
    write_cell(make_cell("cops", "wood"), pixel_ap=0.6)
    verdict = run()
    assert verdict.status == "regressed"
    assert any("expired: its cells have changed since" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("base", "note"), [("0" * 40, "no commit 0000"), (None, "nothing that it names fell; delete it")]
)
def test_one_of_no_use_is_noted(repo: Path, base: str | None, note: str) -> None:
    declare(base=base)
    assert any(note in line for line in run().notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cops: [", "not valid YAML"),
        ("cops/wood", "must be a list"),
        ("- {cells: cops/*, base: 1234567}", "entry 1: reason: required"),
        ("- {cells: cops/*, reason: why, base: '12345'}", "entry 1: base"),
        ("- {cells: cops/*, reason: ' ', base: '1234567'}", "entry 1: reason"),
        (
            "- {cells: cops/*, reason: why, base: '1234567', metrics: [auroc]}",
            "entry 1: metrics: auroc: there are image_auroc",
        ),
        ("- {cell: cops/*, reason: why, base: '1234567'}", "did you mean 'cells'"),
    ],
)
def test_a_wrong_declaration_is_named(repo: Path, text: str, message: str) -> None:
    ACCEPTED.write_text(text)
    with pytest.raises(UserError, match=message):
        run()
