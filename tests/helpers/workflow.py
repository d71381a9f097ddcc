"""Jobs of .github/workflows run here: their own shell steps, in a shell as GitHub's runner starts it.

Steps that use an action (checkout, Python, artifacts) are left to the test, which lays the folder as they would.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helpers import ROOT
from tests.helpers.warm_commands import commands

FOLDER = ROOT / ".github/workflows"
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")  # of `shell: bash`
ALWAYS = "${{ !cancelled() }}"  # the one condition of a step that is known here
GH = '''#!{python}
"""`gh api` for comments of one pull request, kept in a JSON file; the filter is what the workflow selects by."""
import json, sys
from pathlib import Path

store, arguments = Path("{store}"), sys.argv[2:]
comments = json.loads(store.read_text())
value = lambda name: arguments[arguments.index(name) + 1]
if "--jq" in arguments:
    assert value("--jq") == """{mine}"""
    mine = (c for c in comments if c["login"] == "github-actions[bot]" and c["body"].startswith("<!-- gate -->"))
    print(*(c["id"] for c in mine), sep="\\n")
else:
    body = Path(value("-F").removeprefix("body=@")).read_text()
    (path,) = [argument for argument in arguments if argument.startswith("repos/")]
    if value("--method") == "PATCH":
        (found,) = [c for c in comments if path == f"repos/o/r/issues/comments/{{c['id']}}"]
        found["body"] = body
    else:
        assert (value("--method"), path) == ("POST", "repos/o/r/issues/7/comments")
        comments.append({{"id": 100 + len(comments), "login": "github-actions[bot]", "body": body}})
    store.write_text(json.dumps(comments))
'''


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the name of the step that failed, if one did, all that steps printed, and the job summary."""

    failed: str | None
    output: str
    summary: str


def read_workflow(name: str) -> dict[str, Any]:
    """A workflow as it is written, but that YAML 1.1 takes its key `on` for true."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def run_job(steps: list[dict[str, Any]], folder: Path, environment: Mapping[str, str], **context: str) -> Outcome:
    """Run the shell steps of a job in `folder`. `context`: what `${{ }}` stands for, with _ for dots."""
    summary = folder.parent / f"{folder.name}_summary.md"
    summary.write_text("")
    failed, output = None, ""
    for step in steps:
        if "run" not in step or (failed and step.get("if") != ALWAYS):
            continue
        own = {name: _filled(value, context) for name, value in step.get("env", {}).items()}
        variables = {**environment, "GITHUB_STEP_SUMMARY": str(summary), "CI": "true", **own}
        done = subprocess.run(
            [*SHELL, _filled(step["run"], context)],
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output += f"== {step['name']}: {done.returncode}\n{done.stdout}"
        if done.returncode and not step.get("continue-on-error"):
            failed = failed or step["name"]
    return Outcome(failed, output, summary.read_text())


def _filled(text: str, context: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: context[match[1].replace(".", "_")], text)


def lay_environment(folder: Path) -> None:
    """A checkout's .venv that is ready: commands as functional tests have them."""
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(commands())
    (folder / ".venv/ready").touch()


def write_gh(folder: Path, store: Path, mine: str) -> None:
    """A program `gh` in `folder`, for the comments in `store`."""
    folder.mkdir()
    store.write_text(json.dumps([{"id": 1, "login": "someone", "body": "<!-- gate --> a quotation"}]))
    (folder / "gh").write_text(GH.format(python=sys.executable, store=store, mine=mine))
    (folder / "gh").chmod(0o755)
