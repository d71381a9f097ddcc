"""What is inside a zip or tar archive, one member after the other, in one form for both."""

import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal

from zsad.common.errors import UserError
from zsad.datasets.transport.formats import archive_format, read_head

# What zipfile and tarfile raise on damaged files, besides OSError without a number (gzip and bzip2).
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    OverflowError,
    struct.error,
)
TAR_MODES: dict[str, Literal["r:", "r:gz", "r:xz", "r:bz2"]] = {
    "tar": "r:",
    "gzip": "r:gz",
    "xz": "r:xz",
    "bzip2": "r:bz2",
}
ENCRYPTED = 0x1  # bit of a zip member's flags
DRAIN = 1 << 20
# Headers that hold a long name or attributes of the next member; tarfile reads them into memory whole.
EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
LARGEST_EXTENSION = 1 << 20


@dataclass(frozen=True)
class Member:
    """One entry: name as stored, declared size in bytes. `problem`: why it must not be unpacked, empty for most."""

    name: str
    is_directory: bool
    size: int
    problem: str
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Contents:
    """All members, to be read in this order while the archive is open; `total` bytes, unknown for a tar."""

    members: Iterator[Member]
    count: int | None
    total: int | None


@contextmanager
def open_archive(path: Path, shown: str, by_hand: str) -> Iterator[Contents]:
    """The contents of an archive; UserError when it is damaged or of a kind that Python cannot read.

    Messages call it `shown` and say `by_hand` where that is the way out.
    """
    kind = archive_format(read_head(path))
    if kind is None:
        raise UserError(f"{shown}: neither a zip nor a tar archive; delete it and fetch it again")
    if kind in ("7z", "rar"):
        raise UserError(f"{shown}: {kind} archives cannot be unpacked here; {by_hand}")
    try:
        with _open_zip(path) if kind == "zip" else _open_tar(path, kind) as contents:
            yield contents
    except NotImplementedError as error:  # Deflate64, which Windows uses for large zips, and the like
        raise UserError(f"{shown}: packed in a way that cannot be unpacked here ({error}); {by_hand}") from error
    except DAMAGE as error:
        raise UserError(_damaged(shown, error)) from error
    except OSError as error:
        if error.errno is not None:  # the disk's trouble, not the archive's
            raise
        raise UserError(_damaged(shown, error)) from error


def incomplete(path: Path) -> str:
    """Why an archive is cut short or damaged, as far as its structure tells; empty when it looks whole.

    A zip ends in its table of contents; a tar is read through; of 7z and rar nothing is known.
    """
    if archive_format(read_head(path)) in ("7z", "rar"):
        return ""
    try:
        with open_archive(path, "it", by_hand="") as contents:
            for _ in contents.members:
                pass
    except UserError as error:
        return str(error).removeprefix("it: ")
    return ""


def _damaged(shown: str, error: Exception) -> str:
    return f"{shown}: damaged or cut short ({error}); delete it and fetch it again"


@contextmanager
def _open_zip(path: Path) -> Iterator[Contents]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.compress_size for entry in entries) > path.stat().st_size:
            raise zipfile.BadZipFile("its members overlap")
        members = (
            # orig_filename: `filename` is cut at a NUL
            Member(
                entry.orig_filename, entry.is_dir(), entry.file_size, _zip_problem(entry), partial(archive.open, entry)
            )
            for entry in entries
        )
        yield Contents(members, len(entries), sum(entry.file_size for entry in entries))


def _zip_problem(entry: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)  # zero when the archive was not made on a Unix
    if kind == stat.S_IFLNK:
        return "is a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device or another special file"
    return "is encrypted" if entry.flag_bits & ENCRYPTED else ""


@contextmanager
def _open_tar(path: Path, kind: str) -> Iterator[Contents]:
    with tarfile.open(path, TAR_MODES[kind], tarinfo=_Header) as archive:
        yield Contents(_tar_members(archive), None, None)


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for entry in archive:
        yield Member(entry.name, entry.isdir(), entry.size, _tar_problem(entry), partial(_tar_file, archive, entry))
    while archive.fileobj and archive.fileobj.read(DRAIN):  # to the end: there the compressed stream's checksum is
        pass


def _tar_problem(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return "is a link"
    return "" if entry.isreg() or entry.isdir() else "is a device or another special file"


def _tar_file(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(entry)
    if file is None:
        raise tarfile.ReadError(f"{entry.name!r} has no content")
    return file


class _Header(tarfile.TarInfo):
    """A tar header. tarfile itself takes a broken one in mid-archive for the end and drops the rest without a word."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if bytes(buf).strip(b"\0"):
                raise tarfile.ReadError(f"broken header: {error}") from error
            raise
        if header.type in EXTENSIONS and header.size > LARGEST_EXTENSION:
            raise tarfile.ReadError(f"a name or attribute of {header.size} bytes")
        return header
