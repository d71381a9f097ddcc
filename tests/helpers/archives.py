"""Archives for tests of unpacking, and the proof that a refusal leaves nothing behind."""

import io
import random
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from zsad.common.errors import UserError
from zsad.datasets.transport.extract import extract

FILES = {
    "set/train/good/0 1.png": b"a" * 3000,
    "set/test/é/1.png": random.Random(0).randbytes(70_000),
    "set/LICENSE": b"free",
    "set/empty": b"",
}
JUNK = {"__MACOSX/set/._1.png": b"x", "set/.DS_Store": b"x", "set/test/Thumbs.db": b"x"}
TARS = {"a.tar": "w", "a.tar.gz": "w:gz", "a.tgz": "w:gz", "a.tar.xz": "w:xz", "a.tar.bz2": "w:bz2"}


def png(value: int) -> bytes:
    """A picture of one grey value with a white spot, which as a mask of value 0 it marks."""
    picture = np.full((8, 8, 3), value, np.uint8)
    picture[2:4, 2:4] = 255
    return bytes(cv2.imencode(".png", picture)[1])


def write_zip(path: Path, entries: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def write_tar(path: Path, entries: Iterable[tuple[str | tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # the mode is one of TARS
        for name, data in entries:
            entry = tarfile.TarInfo(name) if isinstance(name, str) else name
            entry.size = entry.size or len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(archive: Path, message: str, **options: object) -> None:
    """UserError that names the archive; the disk is as before, an earlier result included."""
    target = archive.parent / "out" / "d"
    target.mkdir(parents=True)
    (target / "earlier").write_text("kept")
    before = contents(archive.parent)
    with pytest.raises(UserError, match=message) as caught:
        extract(archive, target, **options)  # type: ignore[arg-type]  # limit, nested
    assert str(archive) in str(caught.value)
    assert contents(archive.parent) == before
    assert [path.name for path in target.parent.iterdir()] == ["d"]
