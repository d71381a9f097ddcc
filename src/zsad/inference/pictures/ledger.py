"""What a run has done, so that it goes on after a kill: `<out>/.zsad/run.json` and `rows.jsonl` beside it.

A row is appended when a picture's files are written. A picture is done when its row, its size and its time of change
agree and its files are there. Of several rows of one place the last counts; a torn last line is cut off.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from zsad.common.errors import UserError
from zsad.common.io import full_disk_named, read_json, write_json
from zsad.inference.pictures.decoding import Stamp

FOLDER = ".zsad"
Row = dict[str, Any]


class Ledger:
    """The rows below one output folder; made by `open_ledger`."""

    def __init__(self, out: Path, rows: IO[bytes], run: Row) -> None:
        self._folder = out / FOLDER
        self._rows = rows
        self._run = run
        self._last = {row["place"]: position for position, row in _whole_rows(rows)}  # byte offsets: rows are many
        self._agree(out)

    def row_of(self, place: str) -> Row | None:
        """The last row of a place."""
        if place not in self._last:
            return None
        self._rows.seek(self._last[place])
        return json.loads(self._rows.readline())

    def add(self, row: Row) -> None:
        """Append a row."""
        with full_disk_named(self._folder):
            position = self._rows.seek(0, 2)
            self._rows.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            self._rows.flush()
        self._last[row["place"]] = position

    def rows(self) -> Iterator[Row]:
        """The last row of each place, in the order in which places came first."""
        yield from (row for place in list(self._last) if (row := self.row_of(place)))

    @property
    def scale(self) -> tuple[float, float] | None:
        """What colours span in this folder (lowest, highest), once that is settled."""
        held = self._run.get("scale")
        return (held[0], held[1]) if held else None

    def settle_scale(self, low: float, high: float) -> None:
        """Keep what colours span."""
        self._run["scale"] = [low, high]
        write_json(self._folder / "run.json", self._run)

    def _agree(self, out: Path) -> None:
        """Take up what an earlier run settled; UserError where its rows are of something else."""
        path = self._folder / "run.json"
        if not self._last:
            write_json(path, self._run)
            return
        held = read_json(path) if path.is_file() else {}
        check_same(held, self._run, out)
        self._run = held


def check_same(held: Mapping[str, Any], asked: Mapping[str, Any], out: Path | str) -> None:
    """UserError where what `out` holds was asked otherwise."""
    if differ := sorted(name for name, value in asked.items() if held.get(name) != value):
        raise UserError(
            f"--out {out}: holds results with other settings ({', '.join(differ)}); name another folder, "
            "or replace what is there with --anew"
        )


def is_done(row: Row, stamp: Stamp) -> bool:
    """Whether a picture was scored as it is now."""
    return not row["error"] and (row["size"], row["mtime"]) == stamp


@contextmanager
def open_ledger(out: Path, asked: Mapping[str, Any], anew: bool, remove: Callable[[Row], None]) -> Iterator[Ledger]:
    """The ledger of `out`, for this process alone.

    asked: what decides results. UserError where the folder holds results of something else; with `anew`, these are
    removed, files of each row by `remove`.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; name a folder")
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0), (folder / "rows.jsonl").open("a+b") as rows:
            if anew:
                _clear(folder, rows, remove)
            yield Ledger(out, rows, dict(asked))
    except Timeout:
        raise UserError(f"--out {out}: another run is writing there; wait for it or name another folder") from None


def _clear(folder: Path, rows: IO[bytes], remove: Callable[[Row], None]) -> None:
    for _, row in _whole_rows(rows):
        remove(row)
    rows.truncate(0)
    (folder / "run.json").unlink(missing_ok=True)


def _whole_rows(rows: IO[bytes]) -> Iterator[tuple[int, Row]]:
    """(byte offset, row) from the beginning; what a kill tore is cut off."""
    position = rows.seek(0)
    for line in rows:
        if not line.endswith(b"\n"):
            rows.truncate(position)
            return
        yield position, json.loads(line)
        position += len(line)
