"""Workflows are thin over the Makefile, may do little, and the page on CI says what they do."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.helpers import ROOT
from tests.helpers.workflow import FOLDER, read_workflow

NAMES = sorted(path.stem for path in FOLDER.iterdir())
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE)) | {".venv/ready"}
PAGE = (ROOT / "docs/ci.md").read_text()
(GITLAB,) = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(# \.gitlab-ci.*?)```", PAGE, re.DOTALL)]


def jobs() -> Iterator[Any]:
    for name in NAMES:
        for key, job in read_workflow(name)["jobs"].items():
            yield pytest.param(name, job, id=f"{name}-{key}")


def commands(job: dict[str, Any]) -> list[str]:
    """The shell steps of a job, once for each value of its matrix."""
    steps = [step["run"] for step in job["steps"] if "run" in step]
    matrix = job.get("strategy", {}).get("matrix", {})
    values = matrix.get("target") or [row["target"] for row in matrix.get("include", [])] or [""]
    return [step.replace("${{ matrix.target }}", value) for step in steps for value in values]


def made(command: str) -> list[str]:
    """The targets that a command makes."""
    return [word for word in command.split()[1:] if "=" not in word] if command.startswith("make ") else []


def test_there_are_two_workflows() -> None:
    assert NAMES == ["ci", "weekly"]


def test_every_target_is_phony_and_explained() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS - {".venv/ready"}


@pytest.mark.parametrize(("name", "job"), list(jobs()))
def test_steps_make_targets_that_exist(name: str, job: dict[str, Any]) -> None:
    asked = {target for command in commands(job) for target in made(command)}
    assert asked <= TARGETS
    allowed = ("make ", "cat reports/", "sudo apt-get ", "{ echo ")
    assert [command for command in commands(job) if not command.startswith(allowed)] == []


@pytest.mark.parametrize(("name", "job"), list(jobs()))
def test_jobs_end_and_actions_are_githubs_own_pinned_by_version(name: str, job: dict[str, Any]) -> None:
    assert 0 < job["timeout-minutes"] <= 240
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert [action for action in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", action)] == []


@pytest.mark.parametrize("name", NAMES)
def test_rights_are_few_and_one_run_ends_the_other(name: str) -> None:
    workflow = read_workflow(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    writing = {key for key, job in workflow["jobs"].items() if "permissions" in job}
    assert writing == ({"comment"} if name == "ci" else set())
    assert "secrets." not in (FOLDER / f"{name}.yaml").read_text()
    assert "pull_request_target" not in workflow[True]


def test_the_job_that_may_write_runs_nothing_of_the_pull_request() -> None:
    job = read_workflow("ci")["jobs"]["comment"]
    assert job["permissions"] == {"pull-requests": "write"}
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
    assert not any("checkout" in step.get("uses", "") for step in job["steps"])
    assert [made(command) for command in commands(job)] == [[]]


def test_the_ci_of_both_servers_makes_the_same() -> None:
    github = {key: [made(c) for c in commands(job)] for key, job in read_workflow("ci")["jobs"].items()}
    gate = [made(line.split(" ||")[0]) for line in GITLAB["gate"]["script"]]
    assert gate == [targets for targets in github["gate"] if targets]
    assert [made(GITLAB[key]["script"]) for key in ("lint", "test")] == [["lint"], ["test"]]
    assert {"lint", "workflows"} == {target for targets in github["lint"] for target in targets}


def test_every_python_that_is_promised_is_tested() -> None:
    rows = read_workflow("ci")["jobs"]["test"]["strategy"]["matrix"]["include"]
    assert [row["python"] for row in rows] == ["3.11", "3.12", "3.13", "3.14"]
    assert [row["target"] for row in rows] == ["test", "unit", "unit", "unit"]


def test_the_page_names_each_step_of_the_gate() -> None:
    asked = [target for command in commands(read_workflow("ci")["jobs"]["gate"]) for target in made(command)]
    assert [target for target in asked if target != ".venv/ready" and f"`make {target}" not in PAGE] == []
