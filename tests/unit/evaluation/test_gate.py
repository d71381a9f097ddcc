"""Verdicts of the gate, on real Git repositories with hand-written cells."""

import json
from pathlib import Path

import pytest

from tests.helpers.gate_cases import (
    DATASETS,
    LEARNERS,
    PARAMS,
    commit_all,
    edit,
    make_cell,
    path_of,
    repo,
    run,
    write_cell,
)
from zsad.evaluation.metrics.names import METRICS

__all__ = ["repo"]  # the fixture, by which pytest finds it


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
    assert verdict.obstacles == ["cops on wood: no metrics/cells/cops/wood.json; run `dvc repro`"]
    assert "### Cannot compare" in verdict.markdown


def test_a_removed_configuration_counts_as_missing_though_its_files_stay(repo: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace(", clip_zero: {}", ""))
    verdict = run()
    assert verdict.status == "cannot_compare"
    assert len(verdict.obstacles) == 2
    assert "clip_zero on wood: has results there, but params.yaml no longer asks for it" in verdict.obstacles


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
    assert "metrics/cells/apt/wood.json" in verdict.obstacles[0]


def test_json_holds_everything(repo: Path) -> None:
    write_cell(make_cell("cops", "wood"), pixel_ap=0.1)
    path_of("clip_zero", "steel").unlink()
    stored = json.loads(json.dumps(run().as_dict(), allow_nan=False))
    assert (stored["verdict"], stored["exit_code"], stored["against"]) == ("regressed", 1, "HEAD")
    assert stored["changes"][0]["regressed"] is True
    assert stored["changes"][0]["change"] == pytest.approx(-0.7)
    assert len(stored["cannot_compare"]) == 1
