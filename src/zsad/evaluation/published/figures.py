"""The data file of published figures, checked: figures.yaml beside this file."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, model_validator

from zsad.config.schema import Block, Identifier, Metric
from zsad.config.validation import validate

FIGURES = Path(__file__).with_name("figures.yaml")

Measure = Literal["image", "pixels_518", "steps_200", "unstated"]
Quoted = Literal["own", "second-hand"]
Percent = Annotated[float, Field(ge=0, le=100)]


class Source(Block):
    """Where figures were read: `label` for tables, `where` and `version` of what was looked at, `paper` behind it."""

    label: str
    title: str
    where: str
    version: str
    paper: str


class Table(Block):
    """Figures of one method, from one source; see the head of the data file."""

    source: str
    method: Identifier
    shots: int = Field(default=0, ge=0)
    trained_on: str | None
    quoted: Quoted
    metrics: dict[Metric, Measure]
    figures: dict[Identifier, list[Percent | None]]

    @model_validator(mode="after")
    def _complete(self) -> "Table":
        for dataset, values in self.figures.items():
            if len(values) != len(self.metrics):
                raise ValueError(f"{dataset}: {len(values)} values for {len(self.metrics)} metrics")
        return self


class DataFile(Block):
    """The whole file."""

    others: dict[Identifier, str]
    measures: dict[Measure, str]
    sources: dict[str, Source]
    tables: list[Table]

    @model_validator(mode="after")
    def _sources_exist(self) -> "DataFile":
        if missing := {table.source for table in self.tables} - set(self.sources):
            raise ValueError(f"tables of unknown sources: {', '.join(sorted(missing))}")
        return self


@dataclass(frozen=True)
class Figure:
    """One published number. value: in [0, 1]; trained_on: key of the catalogue, None = none, other text = several."""

    method: str
    shots: int
    dataset: str
    metric: str
    value: float
    trained_on: str | None
    measure: Measure
    quoted: Quoted
    source: Source


@cache
def figures(path: Path = FIGURES) -> tuple[Figure, ...]:
    """All figures of the data file; a fault in it is a UserError that names file and key."""
    data = validate(DataFile, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
    return tuple(figure for table in data.tables for figure in _figures(table, data.sources[table.source]))


def _figures(table: Table, source: Source) -> list[Figure]:
    return [
        Figure(
            method=table.method,
            shots=table.shots,
            dataset=dataset,
            metric=metric,
            value=round(value / 100, 6),
            trained_on=table.trained_on,
            measure=measure,
            quoted=table.quoted,
            source=source,
        )
        for dataset, values in table.figures.items()
        for (metric, measure), value in zip(table.metrics.items(), values, strict=True)
        if value is not None
    ]
