"""The table of scores: CSV, JSON lines or Parquet, a row a picture."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from zsad.common.errors import UserError
from zsad.common.io import atomic_path, full_disk_named

COLUMNS = ("path", "score", "label", "threshold", "error", "percentile", "regions")
FORMATS = ("csv", "jsonl", "parquet")
GROWING = ("csv", "jsonl")  # to these a row can be added
CHUNK = 10_000  # rows of a Parquet row group
Row = dict[str, Any]


def table_path(out: Path, form: str) -> Path:
    """Where the table of a folder lies."""
    return out / f"scores.{form}"


def check_form(form: str, must_grow: bool) -> None:
    """UserError for a format that there is not, that cannot grow where it must, or that misses its package."""
    if form not in FORMATS:
        raise UserError(f"--format {form}: one of {', '.join(FORMATS)}")
    if must_grow and form not in GROWING:
        raise UserError(f"--format {form}: no row can be added to such a file, as --watch wants; use csv or jsonl")
    if form == "parquet":
        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError:
            raise UserError("--format parquet: is written by pyarrow: pip install pyarrow, or use csv") from None


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """The whole table at once; its format is that of the name."""
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            _write_parquet(temporary, rows)
            return
        with _opened(temporary, "w") as file:
            if path.suffix == ".csv":
                csv.writer(file, lineterminator="\n").writerow(COLUMNS)
            for row in rows:
                file.write(_line(path, row))


def append_row(path: Path, row: Row) -> None:
    """Add a row to a table that can grow, in one write."""
    with full_disk_named(path), _opened(path, "a") as file:
        file.write(_line(path, row))


def parquet_schema() -> Any:
    """pyarrow's schema of the table."""
    import pyarrow

    kinds = {"score": pyarrow.float64(), "label": pyarrow.int8(), "threshold": pyarrow.float64()}
    kinds["percentile"] = pyarrow.float64()
    return pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in COLUMNS])


def as_cells(row: Row) -> Row:
    """A row as Parquet holds it: regions as JSON, names as UTF-8."""
    return {name: _as_cell(name, row[name]) for name in COLUMNS}


def _opened(path: Path, mode: str) -> IO[str]:
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")  # names may be no UTF-8


def _line(path: Path, row: Row) -> str:
    if path.suffix == ".jsonl":
        return json.dumps({name: row[name] for name in COLUMNS}) + "\n"
    return _csv_line([_as_text(name, row[name]) for name in COLUMNS])


def _csv_line(values: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def _as_text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "regions":
        return json.dumps(value)
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _write_parquet(path: Path, rows: Iterable[Row]) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = parquet_schema()
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for chunk in _chunks(iter(rows)):
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema))


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := [as_cells(row) for row in islice(rows, CHUNK)]:
        yield chunk


def _as_cell(name: str, value: Any) -> Any:
    if name == "regions" and value is not None:
        return json.dumps(value)
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
