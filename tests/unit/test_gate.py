"""The gate on real Git repositories with hand-written cells, and its arithmetic by properties."""

import copy
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.config import Params, load_params
from zsad.errors import UserError
from zsad.gate import Verdict, gate
from zsad.metrics import METRICS
from zsad.metrics.comparison import compare

LEARNERS, DATASETS = ("cops", "clip_zero"), ("wood", "steel")
PARAMS = """\
seeds: [0, 1]
backbones: {default: {name: embedded, pretrained: embedded, image_size: 48}}
sources: {}
datasets: {wood: {path: x}, steel: {path: x}}
learners: {cops: {}, clip_zero: {}}
gate:
"""
CELL_LIMITS, MEAN_LIMITS = dict.fromkeys(METRICS, 0.03), dict.fromkeys(METRICS, 0.01)
PARAMS += f"  cell: {json.dumps(CELL_LIMITS)}\n  mean: {json.dumps(MEAN_LIMITS)}\n"


def make_cell(learner: str, dataset: str, value: float | None = 0.8) -> dict[str, Any]:
    values = dict.fromkeys(METRICS, value)
    return {
        "learner": learner,
        "method": learner,
        "protocol": "strict",
        "source": "aux",
        "shots": 0,
        "dataset": dataset,
        "domain": "industrial",
        "n_images": 10,
        "config_hash": "c",
        "dataset_hash": "d",
        "prediction_hash": "p",
        "seeds": [0, 1],
        "mean": values,
        "sd": values,
        "per_seed": {"0": values, "1": values},
        "categories": {},
        "undefined": {},
        "metrics": {"resolution": [48, 48], "aupro_fpr_limit": 0.3, "connectivity": 8},
        "reason": None,
    }


def path_of(learner: str, dataset: str) -> Path:
    return Path("metrics/cells") / learner / f"{dataset}.json"


def write_cell(cell: dict[str, Any], **means: float | None) -> None:
    path = path_of(cell["learner"], cell["dataset"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**cell, "mean": {**cell["mean"], **means}}))


def edit(learner: str, dataset: str, change: Callable[[dict[str, Any]], None]) -> None:
    cell = json.loads(path_of(learner, dataset).read_text())
    change(cell)
    path_of(learner, dataset).write_text(json.dumps(cell))


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit_all() -> None:
    git("add", "-A")
    git("commit", "-q", "-m", "state")


def run(against: str = "HEAD") -> Verdict:
    return gate(load_params(), against)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit: two configurations on two datasets, every metric 0.8."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "t")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "t@example.org")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    git("init", "-q", "-b", "main")
    Path("params.yaml").write_text(PARAMS)
    for learner in LEARNERS:
        for dataset in DATASETS:
            write_cell(make_cell(learner, dataset))
    commit_all()
    return tmp_path


def test_the_same_metrics_pass(repo: Path) -> None:
    verdict = run()
    assert (verdict.status, verdict.exit_code) == ("passed", 0)
    assert len(verdict.changes) == len(METRICS) * (4 + 2)
    assert "## Metric gate: passed" in verdict.markdown
    assert "| learner |" not in verdict.markdown  # nothing changed: no table


def test_an_improvement_passes(repo: Path) -> None:
    write_cell(make_cell("cops", "wood", 0.95))
    assert run().status == "passed"


def test_a_drop_beyond_the_tolerance_of_a_cell_regresses(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=0.7699)
    write_cell(make_cell("cops", "steel"), pixel_ap=0.83)  # the mean stays
    verdict = run()
    assert (verdict.status, verdict.exit_code) == ("regressed", 1)
    worst = verdict.changes[0]
    assert (worst.scope, worst.learner, worst.dataset, worst.metric) == ("cell", "cops", "wood", "pixel_ap")
    assert [change.regressed for change in verdict.changes].count(True) == 1
    assert "| **regressed** | cops | wood | pixel_ap | 0.8000 | 0.7699 | -0.0301 | 0.03 |" in verdict.markdown


def test_a_drop_of_the_mean_regresses_though_no_cell_does(repo: Path) -> None:
    for dataset in DATASETS:
        write_cell(make_cell("cops", dataset), image_ap=0.789)
    verdict = run()
    assert verdict.status == "regressed"
    assert [(c.scope, c.learner, c.metric) for c in verdict.changes if c.regressed] == [("mean", "cops", "image_ap")]
    assert verdict.changes[0].dataset == "mean of 2"


@pytest.mark.parametrize(("value", "status"), [(0.77, "passed"), (0.769999, "regressed")])
def test_a_drop_of_exactly_the_tolerance_passes(repo: Path, value: float, status: str) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=value)
    write_cell(make_cell("cops", "steel"), pixel_ap=0.9)
    assert run().status == status


def test_the_worst_change_comes_first(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=0.5, image_ap=0.2, image_auroc=0.799)
    lines = [line for line in run().markdown.splitlines() if line.startswith("| ")]
    assert [line.split("|")[4].strip() for line in lines[1:3]] == ["image_ap", "image_ap"]
    assert "image_auroc" in lines[-1]


def test_every_regression_is_shown_and_small_changes_are_counted(repo: Path) -> None:
    for learner in LEARNERS:
        for dataset in DATASETS:
            write_cell(make_cell(learner, dataset, 0.799))
    assert "22 smaller changes are not shown." in run().markdown
    for learner in LEARNERS:
        for dataset in DATASETS:
            write_cell(make_cell(learner, dataset, 0.1))
    assert run().markdown.count("**regressed**") == len(METRICS) * 6


def test_a_missing_cell_never_passes(repo: Path) -> None:
    path_of("cops", "wood").unlink()
    verdict = run()
    assert (verdict.status, verdict.exit_code) == ("cannot_compare", 2)
    assert verdict.obstacles == ["cops on wood: no metrics/cells/cops/wood.json; run `dvc repro score@cops-wood`"]
    assert "### Cannot compare" in verdict.markdown


def test_a_removed_configuration_counts_as_missing_though_its_files_stay(repo: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace(", clip_zero: {}", ""))
    verdict = run()
    assert verdict.status == "cannot_compare"
    assert len(verdict.obstacles) == 2
    assert "clip_zero on wood: has results there, but params.yaml no longer asks for it" in verdict.obstacles


def test_strays_of_the_other_revision_are_ignored(repo: Path) -> None:
    write_cell(make_cell("dropped_long_ago", "wood"))
    Path("metrics/cells/README.md").write_text("not a cell")
    commit_all()
    path_of("dropped_long_ago", "wood").unlink()
    assert run().status == "passed"


def test_a_regression_outweighs_a_missing_cell(repo: Path) -> None:
    path_of("clip_zero", "wood").unlink()
    write_cell(make_cell("cops", "wood"), pixel_ap=0.1)
    verdict = run()
    assert verdict.status == "regressed"
    assert "### Cannot compare" in verdict.markdown


def test_a_number_that_became_undefined_never_passes(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), image_ap=None, image_auroc=None)
    verdict = run()
    assert verdict.status == "cannot_compare"
    assert verdict.obstacles == ["cops on wood: image_auroc, image_ap: had a value and is undefined now"]
    assert any(change.metric == "pixel_ap" and change.dataset == "wood" for change in verdict.changes)


def test_a_number_that_was_undefined_passes(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), image_ap=None)
    commit_all()
    write_cell(make_cell("cops", "wood"))
    verdict = run()
    assert verdict.status == "passed"
    means = {c.metric: c.dataset for c in verdict.changes if c.scope == "mean" and c.learner == "cops"}
    assert (means["image_ap"], means["image_auroc"]) == ("mean of 1", "mean of 2")


def test_a_cell_that_lost_its_meaning_never_passes(repo: Path) -> None:
    write_cell({**make_cell("cops", "wood", None), "reason": "cops is trained on wood", "seeds": []})
    verdict = run()
    assert verdict.status == "cannot_compare"
    assert verdict.obstacles == ["cops on wood: had values and is not applicable now (cops is trained on wood)"]


def test_a_cell_without_meaning_on_both_sides_passes(repo: Path) -> None:
    write_cell({**make_cell("cops", "wood", None), "reason": "cops is trained on wood", "seeds": []})
    commit_all()
    assert run().status == "passed"
    write_cell(make_cell("cops", "wood", 0.1))  # it has meaning now: nothing to compare with
    assert run().status == "passed"


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("dataset_hash", "other", "content"),
        ("protocol", "paper", "protocol"),
        ("seeds", [0, 1, 2], "seeds"),
        ("shots", 4, "shots"),
        ("metrics", {"resolution": [96, 96], "aupro_fpr_limit": 0.3, "connectivity": 8}, "metric settings"),
    ],
)
def test_other_conditions_cannot_be_compared(repo: Path, field: str, value: object, word: str) -> None:
    edit("cops", "wood", lambda cell: cell.update({field: value, "mean": dict.fromkeys(METRICS, 0.1)}))
    verdict = run()
    assert verdict.status == "cannot_compare"
    assert len(verdict.obstacles) == 1
    assert word in verdict.obstacles[0]
    assert "cops on wood" in verdict.obstacles[0]
    assert not any(change.dataset == "wood" and change.learner == "cops" for change in verdict.changes)


def test_a_new_configuration_is_listed_and_passes(repo: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("clip_zero: {}", "clip_zero: {}, apt: {}"))
    for dataset in DATASETS:
        write_cell(make_cell("apt", dataset, 0.1))
    verdict = run()
    assert verdict.status == "passed"
    assert verdict.new == ["apt on wood", "apt on steel"]
    assert "### New cells" in verdict.markdown


def test_a_new_configuration_without_results_never_passes(repo: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("clip_zero: {}", "clip_zero: {}, apt: {}"))
    verdict = run()
    assert verdict.status == "cannot_compare"
    assert "score@apt-wood" in verdict.obstacles[0]


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
    with pytest.raises(UserError, match=r"gate.cell.image_aurco: there is no such metric"):
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


def test_json_holds_everything(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=0.1)
    path_of("clip_zero", "steel").unlink()
    stored = json.loads(json.dumps(run().as_dict(), allow_nan=False))
    assert (stored["verdict"], stored["exit_code"], stored["against"]) == ("regressed", 1, "HEAD")
    assert stored["changes"][0]["regressed"] is True
    assert stored["changes"][0]["change"] == pytest.approx(-0.7)
    assert len(stored["cannot_compare"]) == 1


CELL_VALUES = st.one_of(st.none(), st.floats(0, 1))
GRIDS = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", "z"])),
    st.tuples(CELL_VALUES, CELL_VALUES),
    min_size=1,
)


def both_sides(grid: dict[tuple[str, str], tuple[float | None, float | None]]) -> tuple[dict, dict]:
    before = {name: make_cell(*name, value=old) for name, (old, _) in grid.items()}
    return before, {name: make_cell(*name, value=new) for name, (_, new) in grid.items()}


@given(GRIDS)
def test_compared_with_itself_nothing_regresses(grid: dict) -> None:
    before, _ = both_sides(grid)
    assert not any(change.regressed for change in compare(before, copy.deepcopy(before), CELL_LIMITS, MEAN_LIMITS))


@given(GRIDS)
def test_verdicts_follow_the_definition(grid: dict) -> None:
    changes = compare(*both_sides(grid), CELL_LIMITS, MEAN_LIMITS)
    assert [c.excess for c in changes] == sorted((c.excess for c in changes), reverse=True)
    numbers = {name: pair for name, pair in grid.items() if None not in pair}
    assert len([c for c in changes if c.scope == "cell"]) == len(METRICS) * len(numbers)
    for change in changes:
        pairs = [p for name, p in numbers.items() if name[0] == change.learner]
        if change.scope == "cell":
            pairs = [numbers[change.learner, change.dataset]]
        drop = sum(old - new for old, new in pairs) / len(pairs)
        assert change.change == pytest.approx(-drop, abs=1e-12)
        if abs(drop - change.tolerance) > 1e-8:
            assert change.regressed == (drop > change.tolerance)


@given(GRIDS, st.floats(0, 0.2))
def test_a_wider_tolerance_never_adds_a_regression(grid: dict, extra: float) -> None:
    def regressed(limits: dict[str, float]) -> set[tuple[str, str, str, str]]:
        changes = compare(*both_sides(grid), limits, limits)
        return {(c.scope, c.learner, c.dataset, c.metric) for c in changes if c.regressed}

    assert regressed({m: v + extra for m, v in CELL_LIMITS.items()}) <= regressed(CELL_LIMITS)


def test_params_are_those_of_the_caller(repo: Path) -> None:
    """`gate` judges by the parameters it is given, not by a second reading of the file."""
    params: Params = load_params()
    Path("params.yaml").write_text("learners: [")
    assert gate(params, "HEAD").status == "passed"
