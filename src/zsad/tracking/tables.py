"""Evaluation tables as MLflow shows them in its pages and reads them with `mlflow.load_table`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zsad.common.io import write_json
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.results import Cell
from zsad.tracking.history import measured
from zsad.tracking.standings import Standing

Row = Mapping[str, Any]
FOLDER = "tables"


def write_tables(tables: Mapping[str, Iterable[Row]], directory: Path) -> list[str]:
    """Write each as tables/<name>.json below `directory`; returns the artifact paths. Empty ones are left out."""
    written = []
    for name, rows in tables.items():
        if listed := list(rows):
            columns = list(dict.fromkeys(column for row in listed for column in row))
            data = [[row.get(column) for column in columns] for row in listed]
            write_json(directory / FOLDER / f"{name}.json", {"columns": columns, "data": data})
            written.append(f"{FOLDER}/{name}.json")
    return written


def tables_of(standing: Standing) -> dict[str, Iterable[Row]]:
    """Of one configuration: metrics by dataset with spread and interval; values by category and by defect type."""
    return {
        "datasets": (row for cell in standing.cells for row in _by_metric(cell)),
        "categories": (row for cell in standing.cells for row in _by_category(cell)),
        "defects": (row for cell in standing.cells for row in _by_defect(cell)),
    }


def table_of_all(standings: Sequence[Standing]) -> dict[str, Iterable[Row]]:
    """Every cell of every configuration."""
    return {"cells": (_row_of_cell(standing, cell) for standing in standings for cell in standing.cells)}


def _row_of_cell(standing: Standing, cell: Cell) -> Row:
    head = {"learner": standing.shown, "track": standing.track}
    told = {name: cell[name] for name in ("protocol", "source", "dataset", "domain", "n_images")}
    return {**head, **told, **_values(cell["mean"])}


def _by_metric(cell: Cell) -> Iterator[Row]:
    for metric, mean in measured(cell).items():
        low, high = cell["interval"].get(metric, (None, None))
        head = {name: cell[name] for name in ("dataset", "domain", "source")}
        yield {**head, "metric": metric, "mean": mean, "sd": cell["sd"].get(metric), "low": low, "high": high}


def _by_category(cell: Cell) -> Iterator[Row]:
    for name, category in cell["categories"].items():
        counts = {field: category.get(field) for field in ("n_images", "n_anomalous")}
        yield {"dataset": cell["dataset"], "category": name, **counts, **_values(category)}


def _by_defect(cell: Cell) -> Iterator[Row]:
    for name, category in cell["categories"].items():
        for kind, values in category.get("defects", {}).items():
            head = {"dataset": cell["dataset"], "category": name, "defect": kind, "n_images": values["n_images"]}
            yield {**head, **_values(values)}


def _values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {metric: values.get(metric) for metric in METRICS}
