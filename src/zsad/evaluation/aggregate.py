"""The `aggregate` stage: cells → leaderboard, categories, summary, published figures. Tables are pandas' work."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from zsad.common.errors import UserError
from zsad.common.io import write_json, write_text
from zsad.config.params import Params
from zsad.evaluation.leaderboard import markdown
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.metrics.summaries import mean_of, undefined_in
from zsad.evaluation.published.beside import COLUMNS, beside
from zsad.evaluation.results import Cell, expected_cells, read_cell, rounded, shown_row

TABLES = Path("metrics")
RESERVED = ("all", "undefined", "n_datasets")  # keys of summary.json beside the domains
ORIGIN = ("learner", "method", "protocol", "source", "shots", "dataset", "domain")


def aggregate(params: Params, tables: Path = TABLES) -> None:
    """Read the cells that params.yaml asks for (strays are ignored) and write the tables into `tables`."""
    cells = [read_cell(key, dataset, tables / "cells") for key, dataset in expected_cells(params)]
    scored = [cell for cell in cells if not cell["reason"]]
    frame = pd.DataFrame([_row(cell) for cell in scored], columns=_columns())
    _write_csv(tables / "leaderboard.csv", frame)
    parts = pd.DataFrame([row for cell in scored for row in _category_rows(cell)], columns=_category_columns())
    _write_csv(tables / "categories.csv", parts)
    write_text(tables / "leaderboard.md", markdown(cells, _demo(params), _shown(params)))
    write_json(
        tables / "summary.json",
        {key: summary([c for c in scored if c["learner"] == key]) for key in params.rows},
    )
    published = pd.DataFrame([each.row for each in beside(params, scored)], columns=COLUMNS)
    _write_csv(tables / "vs_published.csv", published)


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    write_text(path, frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def _demo(params: Params) -> list[str]:
    """Keys of the procedurally drawn datasets."""
    return [key for key, block in params.datasets.items() if block.kind == "demo"]


def _shown(params: Params) -> dict[str, str]:
    """What tables call each row."""
    return {key: shown_row(params.row(key)) for key in params.rows}


def summary(cells: Sequence[Cell]) -> dict[str, Any]:
    """One configuration: mean of each metric over the datasets of each domain, and over all datasets it was scored on.

    Other configurations change nothing here (the leaderboard's means are over shared datasets instead).
    A metric that no dataset defines is null; `undefined` counts the datasets without it.
    """
    for cell in cells:
        if cell["domain"] in RESERVED:
            raise UserError(
                f"params.yaml: datasets.{cell['dataset']}.domain: {cell['domain']!r} has a meaning of its own"
            )
    domains = {cell["domain"]: [c["mean"] for c in cells if c["domain"] == cell["domain"]] for cell in cells}
    means = [cell["mean"] for cell in cells]
    return {
        **{domain: rounded(mean_of(values, METRICS)) for domain, values in sorted(domains.items())},
        "all": rounded(mean_of(means, METRICS)),
        "undefined": undefined_in(means, METRICS),
        "n_datasets": len(cells),
    }


def _columns() -> list[str]:
    spread = [f"{metric}_sd" for metric in METRICS]
    return [*ORIGIN, "seeds", "n_images", *METRICS, *spread, *_bounds({})]


def _category_columns() -> list[str]:
    return [*ORIGIN, "category", "defect_type", "n_images", *METRICS, *_bounds({})]


def _row(cell: Cell) -> dict[str, Any]:
    spread = {f"{metric}_sd": cell["sd"][metric] for metric in METRICS}
    origin = {name: cell[name] for name in (*ORIGIN, "n_images")}
    return {**origin, "seeds": len(cell["seeds"]), **cell["mean"], **spread, **_bounds(cell["interval"])}


def _bounds(intervals: Mapping[str, Sequence[float]]) -> dict[str, float | None]:
    """`<metric>_low` and `<metric>_high` of every metric, None without an interval."""
    ends = ((metric, intervals.get(metric, (None, None))) for metric in METRICS)
    return {f"{metric}_{end}": value for metric, pair in ends for end, value in zip(("low", "high"), pair, strict=True)}


def _category_rows(cell: Cell) -> Iterator[dict[str, Any]]:
    """A row for each category, whose defect type is empty, and one for each of its defect types beside all normals."""
    origin = {name: cell[name] for name in ORIGIN}
    for category, values in cell["categories"].items():
        yield {**origin, "category": category, "defect_type": "", **values, **_bounds(values.get("interval", {}))}
        for kind, own in values.get("defects", {}).items():
            yield {**origin, "category": category, "defect_type": kind, **own}
