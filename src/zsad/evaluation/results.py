"""Result cells: one committed JSON file per configuration and dataset, the truth that tables and the gate read."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.config.ensemble import Ensemble, Row, members_of
from zsad.config.params import Params
from zsad.evaluation.metrics.names import METRICS

CELLS = Path("metrics/cells")
Cell = dict[str, Any]
RECONSTRUCTIONS = {"apt": "APT (reconstruction)"}  # methods without public code or equations: called so in tables
DIGITS = 6  # finer differences come from the order of sums, not from a model
FIELDS = (
    *("learner", "method", "protocol", "source", "shots", "dataset", "domain", "n_images", "config_hash"),
    *("dataset_hash", "prediction_hash", "seeds", "mean", "sd", "per_seed", "categories", "metrics", "reason"),
    "undefined",
)
SINCE: Cell = {"interval": {}, "se": {}, "class_names": {}}  # what cells may lack: of earlier versions, or not asked


def cell_path(key: str, dataset: str, base: Path = CELLS) -> Path:
    """Where the result of row `key` on `dataset` lies."""
    return base / key / f"{dataset}.json"


def expected_cells(params: Params) -> list[tuple[str, str]]:
    """(row, dataset) of every cell that params.yaml asks for, in its order; other files are strays."""
    return [(key, dataset) for key in params.rows for dataset in params.datasets]


def parse_cell(text: str, where: str) -> Cell:
    """The cell in `text`; a UserError that names `where` if it is none."""
    remedy = "score it again with `dvc repro`"
    try:
        cell = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not valid JSON ({error}); {remedy}") from error
    missing = [name for name in FIELDS if not isinstance(cell, dict) or name not in cell]
    if missing:
        raise UserError(f"{where}: not a result cell of this version ({', '.join(missing)} missing); {remedy}")
    for name, value in cell["mean"].items():
        number = isinstance(value, int | float) and math.isfinite(value)
        if name not in METRICS or not (value is None or number):
            raise UserError(f"{where}: mean.{name} is {value!r}, which is no metric value; {remedy}")
    return {**SINCE, **cell}


def read_cell(key: str, dataset: str, base: Path = CELLS) -> Cell:
    """The cell of `key` on `dataset`; a missing one is a UserError that says so."""
    path = cell_path(key, dataset, base)
    if not path.is_file():
        raise UserError(f"{path}: not found; run `dvc repro`")
    return parse_cell(path.read_text(encoding="utf-8"), str(path))


def shown_name(learner: str, method: str) -> str:
    """What a table calls a configuration: its key, and that its method is a reconstruction."""
    return _named(learner, _reconstructions([method]))


def shown_row(row: Row) -> str:
    """The same of a row of params.yaml, and of what it is the mean, and whether weights are official."""
    mean = [row.described] if isinstance(row, Ensemble) else []
    methods = [member.method for member in members_of(row)]
    return _named(row.key, [*mean, *_reconstructions(methods), *(["official weights"] if row.is_imported else [])])


def _reconstructions(methods: Sequence[str]) -> list[str]:
    return [RECONSTRUCTIONS[method] for method in dict.fromkeys(methods) if method in RECONSTRUCTIONS]


def _named(key: str, remarks: Sequence[str]) -> str:
    return f"{key}: {', '.join(remarks)}" if remarks else key


def rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Metric values as they are written."""
    return {name: None if value is None else round(value, DIGITS) for name, value in values.items()}
