"""Pictures whose labels stand in a table."""

import csv
from collections.abc import Iterator
from string import Formatter
from typing import Literal

from pydantic import field_validator

from zsad.common.errors import UserError
from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading

DEFECT = "anomaly"


class CsvLabels(Options):
    """file: the table. columns: their names, where its first line does not give them.

    path_pattern: a picture's path from the table's folder, by column ({id:03d}). label: the column that decides:
    `normal`, `anomalous`, other values are left out. defect_type: column that names it.
    """

    file: str
    separator: Literal["whitespace", "comma"] = "whitespace"
    columns: list[str] | None = None
    path_pattern: str
    label: str
    normal: float
    anomalous: float
    defect_type: str = ""

    @field_validator("path_pattern")
    @classmethod
    def _names_columns(cls, pattern: str) -> str:
        for _, name, _, _ in Formatter().parse(pattern):  # ValueError for a lone brace
            if name is not None and not name.isidentifier():
                raise ValueError(f"{{{name}}} is not the name of a column")
        return pattern


def _read(files: Files, options: CsvLabels) -> Reading:
    items, problems, dropped = [], [], 0
    for line, row in _rows(files, options):
        path = _path(options.path_pattern, row)
        value = _number(row[options.label])
        if path is None:
            problems.append(f"{options.file}, line {line}: {row} does not fit into the path {options.path_pattern}")
        elif value is None:
            problems.append(f"{options.file}, line {line}: {options.label} is {row[options.label]!r}, not a number")
        elif path not in files.known:
            problems.append(f"{options.file}, line {line}: no such picture: {path}")
        elif value in (options.normal, options.anomalous):
            items.append(_item(path, value == options.anomalous, row.get(options.defect_type) or DEFECT))
        else:
            dropped += 1
    files.fail(problems)
    notes = [f"{dropped} pictures are left out: {options.label} is neither {options.normal} nor {options.anomalous}"]
    return items, notes if dropped else []


def _rows(files: Files, options: CsvLabels) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, column → text), blanks around names and texts removed."""
    lines = files.text(options.file).splitlines()
    where = files.root / options.file
    table = csv.reader(lines) if options.separator == "comma" else (line.split() for line in lines)
    try:
        cells = [(line, [cell.strip() for cell in row]) for line, row in enumerate(table, start=1) if row]
    except csv.Error as error:
        raise UserError(f"{where}: not a table of values separated by commas ({error})") from error
    columns = options.columns or (cells.pop(0)[1] if cells else [])
    fields = {name for _, name, _, _ in Formatter().parse(options.path_pattern) if name}
    if missing := sorted({options.label, *fields} - set(columns)):
        raise UserError(f"{where}: no column {', '.join(missing)}; it has {', '.join(columns)}")
    for line, row in cells:
        if len(row) != len(columns):
            raise UserError(f"{where}, line {line}: {len(row)} columns, expected {len(columns)}: {', '.join(columns)}")
        yield line, dict(zip(columns, row, strict=True))


def _path(pattern: str, row: dict[str, str]) -> str | None:
    """The picture of a row; None when its texts do not fit, as a word does not where digits are asked for."""
    try:
        return pattern.format(**{name: int(text) if text.isdecimal() else text for name, text in row.items()})
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _item(path: str, anomalous: bool, defect: str) -> Item:
    return Item(path, "", "test", int(anomalous), defect if anomalous else NORMAL, "")


CSV_LABELS = Layout(CsvLabels, lambda options: [options.file], _read)
