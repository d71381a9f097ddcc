"""What the gate says of revisions, files and tolerances it cannot use."""

import math
import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.gate_cases import PARAMS, commit_all, git, make_cell, path_of, repo, run, write_cell
from zsad.common.errors import UserError
from zsad.config.params import Params, load_params
from zsad.evaluation.gate import gate
from zsad.evaluation.metrics.names import METRICS

__all__ = ["repo"]  # the fixture, by which pytest finds it


def test_strays_of_the_other_revision_are_ignored(repo: Path) -> None:
    write_cell(make_cell("dropped_long_ago", "wood"))
    Path("metrics/cells/README.md").write_text("not a cell")
    commit_all()
    path_of("dropped_long_ago", "wood").unlink()
    assert run().status == "passed"


@pytest.mark.parametrize("revision", ["origin/main", "", "-x", "--help", "0000000", "HEAD~5", "HEAD:params.yaml"])
def test_an_unknown_revision_cannot_be_compared(repo: Path, revision: str) -> None:
    verdict = run(revision)
    assert verdict.status == "cannot_compare"
    assert verdict.commit is None
    assert "fetch" in verdict.markdown


def test_a_revision_without_metrics_cannot_be_compared(repo: Path) -> None:
    git("rm", "-r", "-q", "--cached", "metrics")
    git("commit", "-q", "-m", "no metrics")
    verdict = run()
    assert verdict.status == "cannot_compare"
    assert "no results in metrics/cells/ at HEAD" in verdict.obstacles[0]


def test_outside_of_a_repository_nothing_can_be_compared(repo: Path) -> None:
    shutil.rmtree(".git")
    os.environ["GIT_CEILING_DIRECTORIES"] = str(repo.parent)
    try:
        assert run().status == "cannot_compare"
    finally:
        del os.environ["GIT_CEILING_DIRECTORIES"]


def test_without_git_the_message_says_so(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repo))
    with pytest.raises(UserError, match="install Git"):
        run()


def test_tags_branches_and_commits_name_revisions(repo: Path) -> None:
    git("tag", "v1")
    commit = git("rev-parse", "HEAD")
    write_cell(make_cell("cops", "wood", 0.5))
    commit_all()
    assert {run(name).status for name in ("v1", commit[:8], "HEAD~1")} == {"regressed"}
    assert run("main").status == "passed"
    assert run("v1").commit == commit


def test_a_subdirectory_of_a_repository_works(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("project").mkdir()
    shutil.move("metrics", "project/metrics")
    shutil.move("params.yaml", "project/params.yaml")
    commit_all()
    monkeypatch.chdir(repo / "project")
    assert run().status == "passed"
    assert len(run().changes) == len(METRICS) * 6


def test_a_broken_cell_there_cannot_be_compared(repo: Path) -> None:
    path_of("cops", "wood").write_text("{")
    commit_all()
    write_cell(make_cell("cops", "wood"))
    verdict = run()
    assert verdict.status == "cannot_compare"
    assert "metrics/cells/cops/wood.json" in verdict.obstacles[0]


@pytest.mark.parametrize("text", ["{", "[]", "NaN"])
def test_a_broken_cell_here_is_the_users_to_repair(repo: Path, text: str) -> None:
    path_of("cops", "wood").write_text(text)
    with pytest.raises(UserError, match=r"metrics/cells/cops/wood.json"):
        run()


def test_nan_is_no_way_past_the_gate(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=math.nan)
    with pytest.raises(UserError, match="pixel_ap is nan"):
        run()


@pytest.mark.parametrize("value", [".nan", "-0.1", ".inf"])
def test_tolerances_are_checked(repo: Path, value: str) -> None:
    Path("params.yaml").write_text(PARAMS.replace('"image_auroc": 0.01', f'"image_auroc": {value}'))
    with pytest.raises(UserError, match=r"params.yaml: gate.mean.image_auroc"):
        run()


def test_a_missing_or_unknown_tolerance_is_named(repo: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace('"image_auroc": 0.03, ', ""))
    with pytest.raises(UserError, match=r"gate.cell.image_auroc: required"):
        run()
    Path("params.yaml").write_text(
        PARAMS.replace('"image_auroc": 0.03, ', '"image_auroc": 0.03, "image_aurco": 0.03, ')
    )
    with pytest.raises(UserError, match=r"gate.cell.image_aurco: Input should be 'image_auroc'"):
        run()


def test_raised_tolerances_are_pointed_out(repo: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace('"pixel_ap": 0.01', '"pixel_ap": 0.5'))
    assert run().notes == ["tolerance gate.mean.pixel_ap was raised from 0.01 to 0.5"]
    assert "### Notes" in run().markdown


def test_an_unreadable_params_file_there_does_not_matter(repo: Path) -> None:
    Path("params.yaml").write_text("learners: [")
    commit_all()
    Path("params.yaml").write_text(PARAMS)
    assert run().status == "passed"


def test_params_are_those_of_the_caller(repo: Path) -> None:
    """`gate` judges by the parameters it is given, not by a second reading of the file."""
    params: Params = load_params()
    Path("params.yaml").write_text("learners: [")
    assert gate(params, "HEAD").status == "passed"
