"""Git, and what the gate compares with."""

import shutil
from pathlib import Path

from zsad.evaluation.revisions import resolve
from zsad.pipeline.doctor.finding import Finding

MAIN = "origin/main"


def check_git() -> Finding:
    """Whether there is a repository, with a commit, that knows origin/main."""
    if shutil.which("git") is None:
        return Finding("Git", "missing", "not installed; DVC and the gate need it", "install git")
    if resolve("HEAD") is None:
        inside = any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents))
        state = "no commit yet" if inside else "no repository here"
        return Finding("Git", "missing", state, "git commit" if inside else "git init, then dvc init")
    if resolve(MAIN) is None:
        return Finding(
            "Git", "optional", f"{MAIN} is not known: zsad gate needs it, or --against REV", "git fetch origin main"
        )
    return Finding("Git", "ok", f"{MAIN} is known to the gate")
