"""The tables of a report, as values that the page shows and sorts by."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

from zsad.evaluation.leaderboard import SHORT, over_datasets
from zsad.evaluation.metrics.bootstrap import COVERED
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.published.beside import beside
from zsad.evaluation.report.material import Material, Track
from zsad.evaluation.results import Cell

ABSENT = "–"
NORMAL_QUANTILE = NormalDist().inv_cdf((1 + COVERED) / 2)


class Value(NamedTuple):
    """What stands in a table: text, what it is sorted by, what stands below it, and whether it is the column's best."""

    text: str
    key: float | str = ""
    note: str = ""
    best: bool = False


class Table(NamedTuple):
    """A caption, the columns, and rows of as many values; a column of numbers is sorted downwards first."""

    caption: str
    columns: list[str]
    rows: list[list[Value]]


def datasets_table(track: Track, dataset: str, material: Material) -> Table:
    """All seven metrics of every learner on one dataset."""
    cells = track.on(dataset)
    rows = [
        [_head(cell, material, len(cell["seeds"])), *_numbers(cell["mean"], cell["sd"], cell["interval"])]
        for cell in cells
    ]
    domain = cells[0]["domain"]
    caption = f"{track.name} on {dataset}" + (f" (domain {domain})" if domain != dataset else "")
    return Table(caption, _columns(), _with_best(rows, cells))


def means_table(track: Track, material: Material) -> Table | None:
    """Means over the datasets that every learner of the track was scored on; None for fewer than two."""
    counts = {dataset: len(track.on(dataset)) for dataset in track.datasets}
    shared = [dataset for dataset, count in counts.items() if count == len(track.learners)]
    if len(shared) < 2:
        return None
    rows, heads = [], []
    for learner in track.learners:
        cells = [track.of(learner)[dataset] for dataset in shared]
        mean, sd = over_datasets(cells)
        sources = ", ".join(dict.fromkeys(cell["source"] for cell in cells if cell["source"]))
        heads.append({**cells[0], "source": sources})
        seeds = min(len(cell["seeds"]) for cell in cells)
        rows.append([_head(heads[-1], material, seeds), *_numbers(mean, sd, _mean_intervals(cells, mean))])
    names = ", ".join(shared)
    return Table(
        f"{track.name}: means over the {len(shared)} shared datasets ({names})", _columns(), _with_best(rows, heads)
    )


def _mean_intervals(cells: Sequence[Cell], mean: Mapping[str, float | None]) -> dict[str, tuple[float, float]]:
    """95 % intervals of means over datasets: pictures of one know nothing of another's, so variances add."""
    found = {}
    for metric in METRICS:
        value, errors = mean[metric], [cell["se"].get(metric) for cell in cells if cell["mean"][metric] is not None]
        if value is not None and None not in errors:
            half = NORMAL_QUANTILE * math.hypot(*errors) / len(errors)
            found[metric] = (max(0.0, value - half), min(1.0, value + half))
    return found


def parts_table(material: Material, dataset: str, metric: str, part: str) -> Table | None:
    """One metric of every learner by `part` (category, defect) of a dataset; None where nothing has a value."""
    cells = {cell["learner"]: cell for cell in material.cells if cell["dataset"] == dataset and not cell["reason"]}
    values = {learner: _parts(cell, part) for learner, cell in cells.items()}
    names = sorted({name for one in values.values() for name in one})
    rows = [[Value(name, name), *(_plain(one.get(name, {}).get(metric)) for one in values.values())] for name in names]
    if not any(value.text != ABSENT for row in rows for value in row[1:]):
        return None
    title = {"category": "category", "defect": "defect type, its pictures beside all normal ones"}[part]
    columns = ["category" if part == "category" else "defect type", *values]
    return Table(f"{SHORT[metric]} on {dataset} by {title}", columns, _with_best_of_row(rows))


def _parts(cell: Cell, part: str) -> dict[str, Mapping[str, Any]]:
    categories = cell["categories"]
    if part == "category":
        return dict(categories)
    return {f"{name}/{kind}": v for name, one in categories.items() for kind, v in one.get("defects", {}).items()}


def published_table(material: Material) -> Table | None:
    """Ours beside what papers print; None where no dataset of the grid is a published one."""
    scored = [cell for cell in material.cells if not cell["reason"]]
    rows = [one.row for one in beside(material.params, scored)]
    names = {"learner": "learner", "source": "trained on", "dataset": "dataset", "metric": "metric"}
    numbers = {"ours": "ours", "published": "published", "gap": "gap"}
    origin = {"published_source": "where published", "quoted": "quoted"}
    return (
        Table(
            "Ours and published",
            [*names.values(), *numbers.values(), *origin.values()],
            [
                [
                    *(_text(row[name]) for name in names),
                    *(_plain(row[name]) for name in numbers),  # type: ignore[arg-type]  # these columns hold numbers
                    *(_text(row[name]) for name in origin),
                ]
                for row in rows
            ],
        )
        if rows
        else None
    )


def _text(value: object) -> Value:
    return Value(str(value or ABSENT), str(value or ""))


def cost_table(caption: str, rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """A table of measurements; None where nothing was measured. What no row has is named in the caption."""
    if not rows:
        return None
    every = list(dict.fromkeys(name for row in rows for name in row))
    columns = [name for name in every if any(row.get(name) is not None for row in rows)]
    absent = [name for name in every if name not in columns]
    told = caption + (f"; not measured: {', '.join(absent)}" if absent else "")
    return Table(told, columns, [[_measured(row.get(name)) for name in columns] for row in rows])


def _measured(value: object) -> Value:
    if value is None:
        return Value("not measured")
    if isinstance(value, float):
        return Value(f"{value:.1f}" if value < 100 else f"{value:,.0f}", value)
    return Value(f"{value:,}", value) if isinstance(value, int) else Value(str(value), str(value))


def _columns() -> list[str]:
    return ["learner", *SHORT.values()]


def _head(cell: Cell, material: Material, seeds: int) -> Value:
    """The configuration, and below it what its numbers depend on."""
    protocol = [] if cell["protocol"] == "strict" else [f"protocol {cell['protocol']}"]
    source = [cell["source"]] if cell["source"] else []
    told = [*protocol, *source, f"{seeds} seed{'s' if seeds != 1 else ''}"]
    shown = material.shown(cell["learner"])
    return Value(shown, shown, ", ".join(told))


def _numbers(mean: Mapping[str, Any], sd: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[Value]:
    found = []
    for metric in METRICS:
        value, spread, limits = mean.get(metric), sd.get(metric), intervals.get(metric)
        text = ABSENT if value is None else f"{value:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
        note = f"{limits[0]:.3f} to {limits[1]:.3f}" if limits else ""
        found.append(Value(text, "" if value is None else value, note))
    return found


def _plain(value: float | None) -> Value:
    return Value(ABSENT) if value is None else Value(f"{value:.3f}", value)


def _with_best(rows: Sequence[list[Value]], cells: Sequence[Cell]) -> list[list[Value]]:
    """The highest number of each metric's column marked; of protocol `strict`, which alone competes."""
    strict = [row for row, cell in zip(rows, cells, strict=True) if cell["protocol"] == "strict"]
    tops = [max((row[c].key for row in strict if row[c].key != ""), default=None) for c in range(1, 1 + len(METRICS))]
    return [
        [row[0], *(v._replace(best=row in strict and v.key == top) for v, top in zip(row[1:], tops, strict=True))]
        for row in rows
    ]


def _with_best_of_row(rows: Sequence[list[Value]]) -> list[list[Value]]:
    tops = [max((value.key for value in row[1:] if value.key != ""), default=None) for row in rows]
    return [[row[0], *(v._replace(best=v.key == top) for v in row[1:])] for row, top in zip(rows, tops, strict=True)]
