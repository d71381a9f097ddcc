"""One table in three formats: the same values in each, and what cannot be."""

import csv
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from zsad.common.errors import UserError
from zsad.inference.pictures.table import COLUMNS, append_row, check_form, write_table

BOX = {"x": 1, "y": 2, "width": 3, "height": 4, "area": 5, "peak": 0.75}
ROWS = [
    {**dict.fromkeys(COLUMNS), "path": 'a,"b".png', "score": 0.123456789, "label": 1, "threshold": 0.1, "error": "",
     "percentile": 100.0, "regions": [BOX]},
    {**dict.fromkeys(COLUMNS), "path": "c.png", "score": 0.5, "error": "", "place": "of no column"},
    {**dict.fromkeys(COLUMNS), "path": "bad\udcff.png", "error": "broken"},
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_csv() -> None:
    write_table(Path("scores.csv"), ROWS)
    with Path("scores.csv").open(errors="surrogateescape") as file:
        first, second, bad = csv.DictReader(file)
    assert list(first) == list(COLUMNS)
    assert first["path"] == 'a,"b".png'
    assert (first["score"], first["label"], first["percentile"]) == ("0.123457", "1", "100.000000")
    assert json.loads(first["regions"]) == [BOX]
    assert (second["label"], second["threshold"], second["regions"]) == ("", "", "")
    assert (bad["path"], bad["score"], bad["error"]) == ("bad\udcff.png", "", "broken")


def test_json_lines() -> None:
    write_table(Path("scores.jsonl"), ROWS)
    read = [json.loads(line) for line in Path("scores.jsonl").read_text().splitlines()]
    assert read == [{name: row[name] for name in COLUMNS} for row in ROWS]


def test_parquet() -> None:
    write_table(Path("scores.parquet"), ROWS)
    table = pd.read_parquet("scores.parquet")
    assert list(table.columns) == list(COLUMNS)
    assert table["score"].tolist()[:2] == [0.123456789, 0.5]
    assert table["label"].isna().tolist() == [False, True, True]
    assert json.loads(table["regions"][0]) == [BOX]
    assert table["path"][2] == "bad?.png"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_table_that_grows_is_that_which_is_written_at_once(form: str) -> None:
    write_table(Path(f"grown.{form}"), ROWS[:1])
    for row in ROWS[1:]:
        append_row(Path(f"grown.{form}"), row)
    write_table(Path(f"whole.{form}"), ROWS)
    assert Path(f"grown.{form}").read_bytes() == Path(f"whole.{form}").read_bytes()


def test_a_format_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="--format xlsx: one of csv, jsonl, parquet"):
        check_form("xlsx", must_grow=False)
    with pytest.raises(UserError, match="--format parquet: no row can be added .*; use csv or jsonl"):
        check_form("parquet", must_grow=True)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pip install pyarrow, or use csv"):
        check_form("parquet", must_grow=False)
    check_form("csv", must_grow=True)
