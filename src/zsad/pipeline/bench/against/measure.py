"""Both sides in turn, and what came of it as a table."""

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tabulate import tabulate

from zsad.clip.device import choose_device
from zsad.common.errors import UserError
from zsad.common.progress import log
from zsad.config.params import Params
from zsad.config.schema import BackboneParams
from zsad.pipeline.bench.against.case import INFERENCE, PICTURES, TRAINING, Case
from zsad.pipeline.bench.against.prepare import write_learner, write_shared
from zsad.pipeline.bench.against.process import OFFICIAL, OURS
from zsad.pipeline.bench.against.repository import SCRIPTS, driver_of, edited
from zsad.pipeline.bench.against.turns import COUNT, TIME, GoneError, Side, Turn, side

METHODS = ("anomalyclip", "bayes_pfl", "cops", "faprompt")
EQUAL = {"map": 1e-4, "score": 1e-4, "loss of the first step": 1e-3}
"""Differences that are rounding: of maps stored in 16 bits, of deep tokens in half precision."""


@dataclass(frozen=True)
class Row:
    """One quantity of both sides, and how many times as much the official one takes."""

    method: str
    what: str
    unit: str
    ours: float
    official: float
    ratio: float


@dataclass(frozen=True)
class Beside:
    """Rows of one method. commit: of the repository, where it tells; differences: the largest, by what."""

    method: str
    commit: str
    rows: Sequence[Row]
    differences: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def against(params: Params, method: str, repository: Path, epochs: int) -> Beside:
    """The official code in `repository` beside ours; epochs: of the training run."""
    driver = _checked(method, repository)
    backbone = params.backbone("default" if "default" in params.backbones else next(iter(params.backbones)))
    device = choose_device(params.device).type
    commit = _commit(repository)
    if commit != driver.COMMIT:
        log(f"{repository}: {commit or 'no commit known'}; what is timed was written for {driver.HOME} {driver.COMMIT}")
    with TemporaryDirectory(prefix="zsad_") as directory:
        folder = Path(directory)
        log(f"{method}: {backbone.name} with random weights, {backbone.image_size} px")
        write_shared(folder, backbone)
        rows: list[Row] = []
        differences: dict[str, float] = {}
        for what in (INFERENCE, TRAINING):
            found, gaps = part(folder, method, what, repository, device, epochs, backbone)
            log("\n".join(f"{method}: {row.what}: official / ours {row.ratio:.2f}" for row in found))
            rows += found
            differences |= gaps
    return Beside(method, commit, rows, differences)


def part(
    folder: Path, method: str, what: str, repository: Path, device: str, epochs: int, backbone: BackboneParams
) -> tuple[list[Row], dict[str, float]]:
    """Rows of inference or of training, and the largest differences between both sides' results."""
    case = write_learner(folder, method, what, repository, device, epochs + 1, backbone.image_size)
    first, pairs = _take_turns(folder, case)
    results = [dict(np.load(folder / f"{who}.npz")) for who in (OURS, OFFICIAL)]
    rows = _inference_rows(method, pairs) if what == INFERENCE else _training_rows(method, first, pairs, case)
    return rows, _differences(*results)


def _checked(method: str, repository: Path) -> Any:
    """The method's driver, if this is the repository that its edits were written for."""
    if method not in METHODS:
        raise UserError(f"--against {method}: no official repository of it is known; there are: {', '.join(METHODS)}")
    driver = driver_of(method)
    if not repository.is_dir():
        raise UserError(f"--against {method}={repository}: no such folder; clone github.com/{driver.HOME} there")
    edits = driver.edits(Case(method, "", "", "", 0, 1, 1, 1, 64, 0, [], 0, {}))  # where they are does not follow sizes
    try:
        for file in {"test.py", "train.py", *(edit.file for edit in edits)}:
            edited(repository / file, [edit for edit in edits if edit.file == file])
    except UserError as error:
        raise UserError(f"{error}; check out github.com/{driver.HOME} at {driver.COMMIT}") from None
    return driver


def _commit(repository: Path) -> str:
    """What is checked out; empty where the folder is no checkout of its own."""
    if not (repository / ".git").exists():
        return ""
    command = ["git", "-C", str(repository), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _take_turns(folder: Path, case: Case) -> tuple[list[Turn], list[tuple[Turn, Turn]]]:
    """Turns of ours that come before any of theirs (encoding a source), and pairs of turns.

    The last picture, or the last epoch, is counted; the others are timed.
    """
    training = case.what == TRAINING
    total = case.epochs * case.steps if training else case.steps
    timed = range(case.steps * (case.epochs - 1) if training else total - 1)
    environment = {"CUDA_VISIBLE_DEVICES": ""} if case.device == "cpu" else {}
    module = ["-m", "zsad.pipeline.bench.against.process", str(folder)]
    with (
        side([*module, OURS], folder / "ours.log", environment) as ours,
        side([*module, OFFICIAL], folder / "official.log", environment) as theirs,
    ):
        first = [_one(ours, OURS, TIME, case)] if training else []
        pairs = []
        for i in range(total):
            command = TIME if i in timed else COUNT
            pairs.append((_one(ours, OURS, command, case), _one(theirs, OFFICIAL, command, case)))
        for one, who in ((ours, OURS), (theirs, OFFICIAL)):
            if not one.finish():
                _stopped(one, who, case)
    return first, pairs


def _one(one: Side, who: str, command: str, case: Case) -> Turn:
    try:
        return one.take(command)
    except GoneError:
        return _stopped(one, who, case)


def _stopped(one: Side, who: str, case: Case) -> Any:
    if who == OURS:
        raise RuntimeError(f"our side of {case.method} stopped:\n{one.last_words}")
    driver = driver_of(case.method)
    raise UserError(
        f"{case.repository}/{SCRIPTS.get(case.what, 'test.py')} stopped:\n{one.last_words}\nIt should run at commit"
        f" {driver.COMMIT} of github.com/{driver.HOME}, with the packages that it needs beside torch"
    )


def _inference_rows(method: str, pairs: list[tuple[Turn, Turn]]) -> list[Row]:
    (_, *timed, counted) = pairs  # the first computes what later ones remember
    times = [(1000 * ours.seconds, 1000 * theirs.seconds) for ours, theirs in timed]
    return [
        _row(method, "a picture at batch 1", "ms", times),
        _row(method, "operations of a picture", "GFLOP", [_gflop([counted], 1)]),
        _row(method, "peak memory, inference", "MiB", [_peaks(timed)]),
    ]


def _training_rows(method: str, first: list[Turn], pairs: list[tuple[Turn, Turn]], case: Case) -> list[Row]:
    encoding = sum(turn.seconds for turn in first)
    epochs = [pairs[i : i + case.steps] for i in range(0, len(pairs), case.steps)]
    *timed, counted = epochs
    sums = [(sum(a.seconds for a, _ in epoch), sum(b.seconds for _, b in epoch)) for epoch in timed]
    whole = (encoding + sum(a for a, _ in sums), sum(b for _, b in sums))
    return [
        _row(method, f"the first epoch of {PICTURES} pictures", "s", [(encoding + sums[0][0], sums[0][1])]),
        _row(method, "an epoch from the second on", "s", sums[1:]),
        _row(method, f"a run of {len(timed)} epochs", "s", [whole]),
        _row(method, "operations of a picture in such an epoch", "GFLOP", [_gflop(counted, PICTURES)]),
        _row(method, "peak memory, training", "MiB", [_peaks([pair for epoch in timed for pair in epoch])]),
    ]


def _row(method: str, what: str, unit: str, values: Sequence[tuple[float, float]]) -> Row:
    """Medians of both, and the median of the ratios of what ran in the same round."""
    ours, official = (median(side) for side in zip(*values, strict=True))
    return Row(method, what, unit, ours, official, median(b / a for a, b in values))


def _gflop(pairs: Sequence[tuple[Turn, Turn]], pictures: int) -> tuple[float, float]:
    ours, theirs = (sum(turn.operations or 0 for turn in turns) for turns in zip(*pairs, strict=True))
    return ours / pictures / 1e9, theirs / pictures / 1e9


def _peaks(pairs: Sequence[tuple[Turn, Turn]]) -> tuple[float, float]:
    ours, theirs = (max(turn.peak for turn in turns) for turns in zip(*pairs, strict=True))
    return ours, theirs


def _differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest: of maps and scores; of losses, relative, in the first step and in all."""
    if "maps" in ours:
        return {
            "map": float(abs(ours["maps"] - theirs["maps"]).max()),
            "score": float(abs(ours["scores"] - theirs["scores"]).max()),
        }
    gaps = abs(ours["losses"] / theirs["losses"] - 1)
    return {"loss of the first step": float(gaps[0]), "loss of any step": float(gaps.max())}


def as_markdown(found: Sequence[Beside]) -> str:
    """For a terminal or an issue; what is not equal is said so."""
    table = [
        {
            "": row.method,
            "what": row.what,
            "ours": f"{row.ours:.4g} {row.unit}",
            "official": f"{row.official:.4g} {row.unit}",
            "official / ours": f"{row.ratio:.2f}",
        }
        for one in found
        for row in one.rows
    ]
    lines = [tabulate(table, headers="keys", tablefmt="github", disable_numparse=True), ""]
    for one in found:
        gaps = ", ".join(f"{what} {value:.1e}" for what, value in one.differences.items())
        unequal = [what for what, allowed in EQUAL.items() if not one.differences[what] <= allowed]
        verdict = f"; NOT EQUAL: {', '.join(unequal)}; the table compares different things" if unequal else ""
        lines.append(f"{one.method}: largest differences: {gaps}{verdict}")
    return "\n".join(lines)
