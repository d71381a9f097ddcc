"""Addresses that fsspec opens, s3://bucket/folder or a path: what lies there, and files that are written whole."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from zsad.common.errors import UserError
from zsad.common.io import content_hash, full_disk_named
from zsad.datasets.listing import JUNK, is_wanted
from zsad.datasets.transport.remote import PACKAGES, STATE
from zsad.inference.pictures.opening import PICTURE_SUFFIXES

IN_WORK = ".zsad/in_work"  # local files grow here, and are renamed


class Place:
    """A folder at an address; names are POSIX paths below it. Made anew in each process."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") or "/"
        self.files, self.root = opened(self.address)
        self.local = Path(self.root) if isinstance(self.files, LocalFileSystem) else None

    @property
    def absolute(self) -> str:
        """The address for processes that stand elsewhere."""
        return self.root if self.local else self.address

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all: a rename here, one upload elsewhere."""
        if self.local is None:
            self.files.pipe_file(f"{self.root}/{name}", content)
            return
        path, temporary = self.local / name, self.local / IN_WORK / uuid.uuid4().hex
        for folder in (path.parent, temporary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with full_disk_named(path):
            temporary.write_bytes(content)
            temporary.replace(path)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            return self.files.cat_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return None

    def names(self, folder: str, suffix: str) -> list[str]:
        """Sorted names of the files in a folder, where it exists, that end so."""
        self.files.invalidate_cache()
        if not self.files.isdir(f"{self.root}/{folder}"):
            return []
        found = self.files.ls(f"{self.root}/{folder}", detail=False)
        return sorted(f"{folder}/{os.path.basename(path)}" for path in found if path.endswith(suffix))  # noqa: PTH119

    def remove(self, name: str) -> None:
        """Delete a file, or a folder with what is in it, where it is."""
        if self.files.exists(f"{self.root}/{name}"):
            self.files.rm(f"{self.root}/{name}", recursive=True)


def opened(address: str) -> tuple[Any, str]:
    """(fsspec's file system, the path in it) of an address; UserError where that wants a package or is none."""
    try:
        return fsspec.core.url_to_fs(address)
    except ImportError as error:
        package = PACKAGES.get(address.partition("://")[0])
        remedy = f"pip install {package}" if package else str(error)
        raise UserError(f"{address}: this protocol wants a package: {remedy}") from error
    except ValueError as error:
        raise UserError(f"{address}: no address that can be opened ({error})") from error


def list_pictures(address: str, out: Place) -> Iterator[tuple[str, str]]:
    """(address, stamp) of each picture at or below `address`, but for what lies in `out`; hidden ones left out.

    The stamp changes when the file does. UserError for what is not there or cannot be listed.
    """
    files, root = opened(address)
    try:
        if not files.isdir(root):
            yield address, _stamp(files.info(root))
            return
        for folder, below, here in files.walk(root, detail=True):
            for name in [name for name in below if _is_apart(files, f"{folder}/{name}", out)]:
                del below[name]
            for name, info in here.items():
                if is_wanted(Path(name), PICTURE_SUFFIXES):
                    inside = f"{folder}/{name}"[len(root.rstrip("/")) + 1 :]
                    yield f"{address.rstrip('/')}/{inside}", _stamp(info)
    except FileNotFoundError:
        raise UserError(f"{address}: no such file or folder") from None
    except Exception as error:  # each storage has errors of its own
        raise UserError(f"{address}: cannot be listed ({error}); check address, connection and rights") from error


def _is_apart(files: Any, folder: str, out: Place) -> bool:
    name = folder.rpartition("/")[2]
    same = type(files) is type(out.files) and folder.rstrip("/") == out.root.rstrip("/")
    return same or name.startswith(".") or name in JUNK


def _stamp(info: dict[str, Any]) -> str:
    return content_hash({name: str(info[name]) for name in STATE if name in info})
