"""Pull requests against the gate, in real repositories: a bare Git remote, a DVC remote, the workflow's own steps.

A developer pushes branches. For each, a fresh clone is what GitHub checks out, and there the shell steps of the job
`gate` in .github/workflows/ci.yaml run. The tests build on one another, in order.
"""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT
from tests.helpers.repository import FEW_WORDS, SMALL, Repo, make_repo
from tests.helpers.workflow import Outcome, lay_environment, read_workflow, run_job, write_gh

JOBS = read_workflow("ci")["jobs"]
GRID = (
    *SMALL,
    "seeds=[0, 1, 2]",
    f"learners={{{FEW_WORDS}, mean_patch: {{epochs: 0}}}}",
)
OTHERWISE = "        return Scored(score, self.as_map(patches_BN))\n"  # the last line of clip_zero


def mean_patch() -> str:
    """The method that docs/learners.md shows, restless: on another processor it ends elsewhere, as training does."""
    (text,) = re.findall(
        r"```python\n(\"\"\"One learned direction.*?)```", (ROOT / "docs/learners.md").read_text(), re.S
    )
    drawn = "0.02 * torch.randn(clip.joint_width)"
    assert drawn in text
    here = "0.02 * torch.randn(2, clip.joint_width)[int(os.environ.get('PROCESSOR', '0'))]"
    return text.replace(drawn, here).replace("\nfrom coll", "\nimport os\nfrom coll", 1)


class Drill:
    """A developer's repository, and what CI makes of its branches."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dev = make_repo(root / "dev", *GRID)
        for name in ("Makefile", "requirements.lock"):
            shutil.copy(ROOT / name, self.dev.path)
        learner = self.dev.path / "src/zsad/learners/mean_patch.py"
        learner.write_text(mean_patch())
        self.edit("dvc.yaml", r"\n  register: .*", "\n")  # the gate needs no registry
        self.dev.run("git", "init", "-q", "--bare", str(root / "origin.git"))
        self.dev.run("git", "remote", "add", "origin", "../origin.git")
        self.dev.run("dvc", "remote", "add", "-q", "-d", "store", "../store")
        self.dev.repro()
        self.push("main")

    def edit(self, name: str, pattern: str, new: str) -> None:
        path = self.dev.path / name
        text, count = re.subn(pattern, new, path.read_text(), flags=re.DOTALL)
        assert count == 1, f"{name} does not hold {pattern} once"
        path.write_text(text)

    def branch(self, name: str, start: str = "main") -> None:
        self.dev.run("git", "checkout", "-q", "-b", name, start)
        self.dev.run("dvc", "checkout", "-q")

    def push(self, name: str) -> None:
        self.dev.commit(name)
        self.dev.run("dvc", "push", "-q", "--run-cache")
        self.dev.run("git", "push", "-q", "origin", name)

    def ci(self, branch: str, base: str = "main", **environment: str) -> Outcome:
        """The job `gate` for the pull request of a branch into `base`; without `base`, for a push."""
        checkout = self.root / "ci"
        shutil.rmtree(checkout, ignore_errors=True)
        self.dev.run("git", "clone", "-q", "-b", branch, str(self.root / "origin.git"), str(checkout))
        if base:  # what GitHub tests is the merge
            Repo(checkout).run("git", "merge", "-q", "--no-edit", f"origin/{base}")
        lay_environment(checkout)
        variables = {**Repo(checkout).environment, "GITHUB_BASE_REF": base, **environment}
        return run_job(JOBS["gate"]["steps"], checkout, variables)

    def verdict(self) -> dict:
        return json.loads((self.root / "ci/reports/gate.json").read_text())

    def tip(self, branch: str = "main") -> str:
        return self.dev.run("git", "rev-parse", branch).strip()


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    return Drill(tmp_path_factory.mktemp("drill"))


def test_a_good_change_passes(drill: Drill) -> None:
    drill.branch("good")
    drill.dev.set("learners.clip_zero_wide={method: clip_zero, sigma: 8.0}")
    drill.dev.repro()
    drill.push("good")
    outcome = drill.ci("good")
    assert outcome.failed is None, outcome.output
    assert outcome.summary.startswith("## Metrics are fresh")
    assert "## Metric gate: passed" in outcome.summary
    assert "- clip_zero_wide on demo_texture\n" in outcome.summary
    assert not re.search(r"^\[\d+/\d+\] \S+: [\d.]+ s$", outcome.output, re.MULTILINE), "the remote holds all results"


def test_a_bad_change_fails_and_says_what_was_lost(drill: Drill) -> None:
    drill.branch("bad")
    drill.edit("src/zsad/learners/clip_zero.py", re.escape(OTHERWISE), OTHERWISE.replace("score,", "1 - score,"))
    drill.dev.repro()
    drill.push("bad")
    outcome = drill.ci("bad")
    assert outcome.failed is not None, outcome.output
    assert outcome.failed.startswith("Gate"), outcome.output
    assert "## Metric gate: regressed" in outcome.summary
    assert "| **regressed** | clip_zero | mean of " in outcome.summary
    assert "mean_patch" not in outcome.summary
    assert "- image_auroc by category: " in outcome.summary
    assert list((drill.root / "ci/reports/explained").rglob("*.png"))
    assert (drill.verdict()["verdict"], drill.verdict()["exit_code"]) == ("regressed", 1)
    suite = ET.parse(drill.root / "ci/reports/gate.xml").getroot()
    assert {case.get("classname") for case in suite.iter("testcase") if list(case)} == {"gate.clip_zero"}


def test_the_comment_is_written_once_and_then_anew(drill: Drill) -> None:
    (step,) = [step for step in JOBS["comment"]["steps"] if "run" in step]
    store, programs = drill.root / "comments.json", drill.root / "programs"
    write_gh(programs, store, step["env"]["MINE"])
    environment = {**drill.dev.environment, "GITHUB_REPOSITORY": "o/r"}
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    told = []
    for more in ("", "\nand more\n" + "long " * 20000):
        with (drill.root / "ci/reports/gate.md").open("a") as file:
            file.write(more)
        outcome = run_job([step], drill.root / "ci", environment, github_token="t", github_event_number="7")
        assert outcome.failed is None, outcome.output
        quoted, mine = json.loads(store.read_text())
        assert quoted["body"] == "<!-- gate --> a quotation"
        told.append(mine["body"])
    assert told[0].startswith("<!-- gate -->\n## Metrics are fresh")
    assert "## Metric gate: regressed" in told[0]
    assert "and more" in told[1]
    assert len(told[1]) < 65536


def test_a_stale_lock_file_is_caught_before_anything_runs(drill: Drill) -> None:
    drill.branch("stale")
    drill.dev.set("learners.mean_patch.temperature=0.5")
    drill.edit("src/zsad/learners/clip_zero.py", "= 1 / self.clip", "= 2 / self.clip")
    drill.push("stale")
    outcome = drill.ci("stale")
    assert outcome.failed == "Metrics follow from lock file, code and parameters", outcome.output
    assert outcome.summary.startswith("## Metrics are stale")
    assert "learners.mean_patch" in outcome.summary
    assert "the code is another now: predict@clip_zero" in outcome.summary
    assert "== Gate" not in outcome.output


def test_a_declared_change_passes_once(drill: Drill) -> None:
    drill.branch("declared", "bad")
    accepted = drill.dev.path / "metrics/accepted.yaml"
    entry = {"cells": "clip_zero/*", "reason": "anomalous is what looks least so", "base": drill.tip()}
    accepted.write_text(yaml.safe_dump([entry]))
    drill.push("declared")
    outcome = drill.ci("declared")
    assert outcome.failed is None, outcome.output
    assert entry["reason"] in outcome.summary

    drill.dev.run("git", "checkout", "-q", "main")
    drill.dev.run("git", "merge", "-q", "declared")
    drill.dev.run("git", "push", "-q", "origin", "main")
    drill.branch("worse")
    drill.edit("src/zsad/learners/clip_zero.py", r"as_map\(patches_BN\)", "as_map(-patches_BN)")
    drill.dev.repro()
    drill.push("worse")
    outcome = drill.ci("worse")
    assert drill.verdict()["verdict"] == "regressed", outcome.output
    assert "expired" in outcome.summary


def test_the_run_of_another_processor_passes(drill: Drill) -> None:
    """After a push to main, without what the remote holds: everything is computed, and seeds end elsewhere."""
    (drill.root / "store").rename(drill.root / "away")
    outcome = drill.ci("main", base="", PROCESSOR="1")
    assert outcome.failed is None, outcome.output
    assert "Against `HEAD`" in outcome.summary
    assert re.search(r"^\[\d+/\d+\] train@mean_patch-demo_source: ", outcome.output, re.MULTILINE)
    moved = {change["learner"] for change in drill.verdict()["changes"] if change["change"]}
    assert moved == {"mean_patch"}
