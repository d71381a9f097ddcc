"""Tasks that read and decode, so that workers with a model never wait for a disk or a network."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import pyarrow
from PIL import Image

from zsad.common.errors import UserError
from zsad.inference.buckets.places import opened
from zsad.inference.pictures.decoding import MOST_PIXELS
from zsad.inference.pictures.opening import open_picture

THREADS = 4  # pictures that a task fetches at once
ATTEMPTS = 3  # at a file that a storage does not give
FIELDS = (("path", pyarrow.string()), ("stamp", pyarrow.string()), ("size", pyarrow.int64()))
MORE = (("sha256", pyarrow.string()), ("error", pyarrow.string()), ("width", pyarrow.int32()))
SCHEMA = pyarrow.schema([*FIELDS, *MORE, ("height", pyarrow.int32()), ("rgb", pyarrow.large_binary())])


class Read(NamedTuple):
    """A picture as it came, or why it could not be read (`error`); size: bytes; sha256: of the content."""

    path: str
    stamp: str
    size: int | None
    sha256: str | None
    error: str
    picture: Image.Image | None

    @property
    def pixels(self) -> int:
        """How many; at least one."""
        return self.picture.width * self.picture.height if self.picture else 1


def read_pictures(listed: pyarrow.Table, bits: int | None, directory: str) -> Iterator[pyarrow.Table]:
    """Pictures of `listed` (path, stamp), in order, in tables of some 32 million pixels at most.

    directory: from where relative paths lead.
    """
    os.chdir(directory)
    named = [(row["path"], row["stamp"]) for row in listed.to_pylist()]
    held: list[Read] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, len(named), THREADS):
            held += pool.map(partial(_read, bits=bits), named[first : first + THREADS])
            if sum(one.pixels for one in held) >= MOST_PIXELS:
                yield _packed(held)
                held = []
    if held:
        yield _packed(held)


def unpacked(table: pyarrow.Table) -> Iterator[Read]:
    """Rows of a table that `read_pictures` made."""
    for i in range(table.num_rows):
        row: dict[str, Any] = table.slice(i, 1).to_pylist()[0]
        rgb, size = row.pop("rgb"), (row.pop("width"), row.pop("height"))
        yield Read(**row, picture=Image.frombytes("RGB", size, rgb) if rgb else None)


def _read(named: tuple[str, str], bits: int | None) -> Read:
    path, stamp = named
    try:
        data = _content(path)
    except Exception as error:  # each storage has errors of its own; the row tells of it, and a later run tries again
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Read(path, stamp, None, None, f"{path}: not a readable picture ({why})", None)
    known = (path, stamp, len(data), hashlib.sha256(data).hexdigest())
    try:
        return Read(*known, "", open_picture(data, bits))
    except UserError as error:
        return Read(*known, path + str(error).removeprefix("picture"), None)


def _content(path: str) -> bytes:
    files, inside = opened(path)
    for _ in range(ATTEMPTS - 1):
        try:
            return files.cat_file(inside)
        except (TimeoutError, ConnectionError):
            continue
    return files.cat_file(inside)


def _packed(pictures: list[Read]) -> pyarrow.Table:
    rows = []
    for one in pictures:
        shown = one.picture
        size = {"width": shown.width, "height": shown.height, "rgb": shown.tobytes()} if shown else {}
        rows.append({name: value for name, value in one._asdict().items() if name != "picture"} | size)
    return pyarrow.Table.from_pylist(rows, SCHEMA)
