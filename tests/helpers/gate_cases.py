"""A repository with hand-written result cells, for the tests of the gate."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zsad.config.params import load_params
from zsad.evaluation.gate import Verdict, gate
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import Name

LEARNERS, DATASETS = ("cops", "clip_zero"), ("wood", "steel")
PARAMS = """\
seeds: [0, 1]
backbones: {default: {name: embedded, pretrained: embedded, image_size: 48}}
sources: {}
datasets: {wood: {path: x}, steel: {path: x}}
learners: {cops: {}, clip_zero: {}}
few_shot: {}
few_shot_of: {}
ensembles: {}
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
        "sd": dict.fromkeys(METRICS, None if value is None else 0.0),
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
    path.write_text(
        json.dumps(with_values(cell, {name: [value] * len(cell["seeds"]) for name, value in means.items()}))
    )


def with_values(cell: dict[str, Any], values: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    """`cell` with these values by seed (None: undefined), {metric: one a seed}, its means and seeds with them."""
    seeds = range(max([len(cell["seeds"]), *map(len, values.values())]))
    rows = {str(i): {**cell["per_seed"].get(str(i), {}), **{m: v[i] for m, v in values.items()}} for i in seeds}
    means = {m: None if None in v else sum(v) / len(v) for m, v in values.items() if v}  # type: ignore[arg-type]
    return {**cell, "seeds": list(seeds), "per_seed": rows, "mean": {**cell["mean"], **means}}


def draw_cells(rng: np.random.Generator, sds: NDArray[np.float64], seeds: int = 3) -> dict[Name, dict[str, Any]]:
    """Cells of trainings by fresh seeds around 0.6, with these standard deviations (configuration, dataset, metric).

    Metrics correlate by 0.7 in a cell, and datasets by 0.2, because one model a seed makes them all.
    """
    learners, datasets, metrics = sds.shape
    normal = rng.standard_normal
    model, cell = normal((learners, 1, seeds, 1)), normal((learners, datasets, seeds, 1))
    own = normal((learners, datasets, seeds, metrics))
    values = 0.6 + (model * 0.2**0.5 + cell * 0.5**0.5 + own * 0.3**0.5) * sds[:, :, None, :]
    return {
        (f"learner_{i}", f"set_{j}"): with_values(
            make_cell(f"learner_{i}", f"set_{j}"), dict(zip(METRICS, values[i, j].T.tolist(), strict=True))
        )
        for i in range(learners)
        for j in range(datasets)
    }


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
