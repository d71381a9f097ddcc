"""Result cells and parameters as they stand at a Git revision, read without touching the working tree."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from zsad.common.errors import UserError
from zsad.config.params import PARAMS_FILE
from zsad.evaluation.results import CELLS, Cell, parse_cell


def resolve(revision: str) -> str | None:
    """The commit that `revision` names in the current directory's repository, or None."""
    # --end-of-options: a revision that starts with `-` is a name like any other
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", check=False)
    return done.decode().strip() or None


def cells_at(commit: str) -> tuple[dict[tuple[str, str], Cell], list[str]]:
    """({(configuration, dataset): cell}, what could not be read) at `commit`; strays of its time are left out."""
    cells, broken = {}, []
    wanted = _grid(params_at(commit))
    for path, text in _files_at(commit).items():
        name = (path.parent.name, path.stem)
        if path.suffix != ".json" or len(path.relative_to(CELLS).parts) != 2 or not (wanted is None or name in wanted):
            continue
        try:
            cells[name] = parse_cell(text, f"{commit[:10]}:{path}")
        except UserError as error:
            broken.append(str(error))
    return cells, broken


def params_at(commit: str) -> dict[str, Any]:
    """params.yaml at `commit` as plain values; {} when there is none that can be read (other versions' keys differ)."""
    text = _git("show", f"{commit}:./{PARAMS_FILE}", check=False)
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}


def _grid(params: dict[str, Any]) -> set[tuple[str, str]] | None:
    learners, datasets = params.get("learners", ()), params.get("datasets", ())
    others = ("few_shot", "few_shot_of", "ensembles")  # which older revisions do not have
    blocks = (learners, *(params.get(name, {}) for name in others))
    if not all(isinstance(block, dict) for block in (*blocks, datasets)):
        return None
    return {(str(key), str(dataset)) for block in blocks for key in block for dataset in datasets}


def _files_at(commit: str) -> dict[Path, str]:
    """{path: text} of all files below metrics/cells, with two Git processes however many there are."""
    listing = _git("ls-tree", "-r", "-z", commit, "--", f"{CELLS}/").decode().split("\0")
    entries = [line.split("\t", 1) for line in listing if line]
    paths = [Path(path) for _, path in entries]
    stream = _git("cat-file", "--batch", stdin="".join(f"{head.split()[2]}\n" for head, _ in entries))
    texts = []
    while stream:
        header, rest = stream.split(b"\n", 1)
        size = int(header.split()[2])
        texts.append(rest[:size].decode(errors="replace"))
        stream = rest[size + 1 :]
    return dict(zip(paths, texts, strict=True))


def _git(*arguments: str, stdin: str = "", check: bool = True) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], input=stdin.encode(), capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError("git: not found; install Git, which holds the metrics to compare with") from None
    if check and done.returncode:
        raise UserError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
