"""What a run has written: `scores/*.parquet` below its output, a row a picture; what it was asked: `.zsad/run.json`.

A part is named after the pictures in it, so one that is written again replaces itself. Of a later run each part carries
no mark: what is left to do follows from the rows alone.
"""

import io
import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow
import pyarrow.parquet
from filelock import FileLock, Timeout

from zsad.common.errors import UserError
from zsad.common.io import content_hash
from zsad.inference.buckets.places import IN_WORK, Place
from zsad.inference.pictures.ledger import FOLDER, check_same
from zsad.inference.pictures.table import as_cells, parquet_schema

SCORES, MAPS = "scores", "maps"
RUN = f"{FOLDER}/run.json"
OWN = {  # columns beside those of every table: bytes, of the content, of the file's state
    "size": pyarrow.int64(),
    "sha256": pyarrow.string(),
    "stamp": pyarrow.string(),
}
Row = dict[str, Any]
Waiting = dict[str, str | None]  # stamp of each picture by address; None: a row was found


def part_schema() -> pyarrow.Schema:
    """Columns of a part."""
    return pyarrow.schema([*parquet_schema(), *(pyarrow.field(name, kind) for name, kind in OWN.items())])


class Parts:
    """The parts of one output, as one run writes them; `token` tells runs apart."""

    def __init__(self, place: Place, token: str) -> None:
        self._place = place
        self._token = token

    def add(self, rows: Sequence[Row]) -> None:
        """Write rows as one part. UserError when a later run has taken over: nobody writes behind its back."""
        held = json.loads(self._place.read(RUN) or b"{}")
        if held.get("token") != self._token:
            raise UserError(f"--out {self._place.address}: another run has taken over; let one of them end")
        cells = [as_cells(row) | {name: row[name] for name in OWN} for row in rows]
        name = content_hash([[row["path"], row["stamp"]] for row in rows])
        self._write(f"{SCORES}/{name}.parquet", pyarrow.Table.from_pylist(cells, part_schema()))

    def tidy(self, waiting: Waiting, retry: bool) -> Counter[int | None]:
        """Note in `waiting` what has a row, and count rows by label; rows are taken out that are of another state of a
        picture, or its second one, or, with `retry`, of an unreadable picture.
        """
        labels: Counter[int | None] = Counter()
        for name in self._place.names(SCORES, ".parquet"):
            table = pyarrow.parquet.read_table(io.BytesIO(self._place.read(name) or b""))
            facts = (table.column(column).to_pylist() for column in ("path", "stamp", "error"))
            keep = [_is_kept(waiting, path, stamp, error, retry) for path, stamp, error in zip(*facts, strict=True)]
            kept = table.filter(pyarrow.array(keep, pyarrow.bool_()))
            if not kept.num_rows:
                self._place.remove(name)
            elif not all(keep):
                self._write(name, kept)
            labels.update(kept.column("label").to_pylist())
        return labels

    def _write(self, name: str, table: pyarrow.Table) -> None:
        content = io.BytesIO()
        pyarrow.parquet.write_table(table, content)
        self._place.write(name, content.getvalue())


def _is_kept(waiting: Waiting, path: str, stamp: str, error: str, retry: bool) -> bool:
    if path not in waiting:
        return True  # of a source that this run was not given
    if waiting[path] != stamp or (error and retry):
        return False
    waiting[path] = None
    return True


@contextmanager
def claimed(place: Place, asked: Mapping[str, Any], anew: bool) -> Iterator[str]:
    """The token of a run that is from here on the only one that writes to `place`.

    On this machine's disks a second run is refused; elsewhere it takes over. UserError where results of something else
    are there; `anew` removes them.
    """
    if place.local is None:
        yield _claim(place, asked, anew)
        return
    if place.local.exists() and not place.local.is_dir():
        raise UserError(f"--out {place.address}: is a file; name a folder")
    (place.local / FOLDER).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(place.local / FOLDER / "lock", timeout=0):
            place.remove(IN_WORK)
            yield _claim(place, asked, anew)
    except Timeout:
        raise UserError(f"--out {place.address}: another run is writing there; wait for it or name another") from None


def _claim(place: Place, asked: Mapping[str, Any], anew: bool) -> str:
    if anew:
        for name in (SCORES, MAPS, RUN):
            place.remove(name)
    held = json.loads(place.read(RUN) or b"{}")
    if held and (held.get("engine") != asked["engine"] or place.names(SCORES, ".parquet")):
        check_same(held, asked, place.address)
    token = uuid.uuid4().hex
    place.write(RUN, json.dumps({**asked, "token": token}, indent=1).encode())
    return token
