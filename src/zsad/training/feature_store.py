"""Frozen features on disk that cells share: a folder a set of pictures, an .npy file a stream; loads no torch.

A file appears whole. What all files take stays within a budget: those that were not used for the longest go first, and
never one that a process reads or writes. That, and who writes, is told by locks of the system, which end with their
process, however it ends.
"""

import fcntl
import math
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from zsad.common.io import full_disk_named
from zsad.common.progress import log
from zsad.config.params import Params

FEATURES = Path("data/features")
GIB = 2**30
HEADER = 128  # bytes of an .npy file before its array


@dataclass(frozen=True)
class Kept:
    """A stream of all pictures, memory-mapped. As long as `lock` is referred to, the file is not removed."""

    array: np.memmap
    lock: BinaryIO


Kind = tuple[np.dtype, tuple[int, ...]]  # of an array: its type, and its shape with all pictures


@dataclass(frozen=True)
class FeatureStore:
    """Files below `root`, of `budget` bytes at most; None: of as many as the disk has."""

    root: Path
    budget: int | None = None

    def find(self, folder: str, names: Iterable[str]) -> dict[str, Kept]:
        """Those of the streams `names` that are there; they count as used now."""
        found = {}
        for name in names:
            if file := _held(self.root / folder / f"{name}.npy", fcntl.LOCK_SH):
                os.utime(file.fileno())
                found[name] = Kept(_mapped(file), file)
        return found

    @contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        """Hold the folder: another process that wants to compute the same waits here, and then finds it."""
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / f".{folder}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log(f"{self.root / folder}: another process computes these features; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def write(
        self, folder: str, kinds: Mapping[str, Kind], spare: Collection[str] = ()
    ) -> Iterator[dict[str, Kept] | None]:
        """Arrays to fill, on disk when the block ends well; None where budget or disk have no room for them.

        spare: those that nobody has asked for yet. With such, nothing is removed for the arrays, and half of the free
        disk stays free; and until somebody reads them, they are the first to go. To be called `alone`. UserError where
        the disk is full after all.
        """
        begun: dict[str, Kept] = {}
        try:
            with _changing(self.root):  # until the files have the size that others count
                if room := self._make_room(sum(map(_size, kinds.values())), bool(spare)):
                    (self.root / folder).mkdir(exist_ok=True)
                    for name, kind in kinds.items():
                        begun[name] = _begin(self._part(folder, name), *kind)
            yield begun if room else None
            for kept in begun.values():
                kept.array.flush()  # or a machine that stops could leave a whole file of zeros
                fcntl.flock(kept.lock, fcntl.LOCK_SH)
            with _changing(self.root):
                for name in begun:
                    if name in spare:
                        os.utime(self._part(folder, name), (0, 0))
                    self._part(folder, name).replace(self.root / folder / f"{name}.npy")
        finally:
            with _changing(self.root):
                for name in kinds:
                    self._part(folder, name).unlink(missing_ok=True)

    def _part(self, folder: str, name: str) -> Path:
        return self.root / folder / f".{name}.part"

    def _make_room(self, needed: int, spare: bool) -> bool:
        """Whether `needed` bytes fit, after files that nobody uses were removed, the longest unused first; or, for what
        is `spare`, as things are.
        """
        for path in self.root.glob("*/.*.part"):
            _remove(path)  # what a killed process left
        if self.budget is None:
            return True
        if needed > self.budget:
            return False
        sizes = {path: path.stat() for path in [*self.root.glob("*/*.npy"), *self.root.glob("*/.*.part")]}
        used = sum(stat.st_size for stat in sizes.values())
        for path, stat in sorted(sizes.items(), key=lambda item: item[1].st_mtime):
            if not spare and used + needed > self.budget and _remove(path):
                used -= stat.st_size
        return used + needed <= self.budget and needed * (1 + spare) < shutil.disk_usage(self.root).free


def shared_stores(params: Params) -> list[FeatureStore]:
    """The one that the cells of a repository share, unless params.yaml gives it no room."""
    return [FeatureStore(FEATURES, int(params.feature_store * GIB))] if params.feature_store else []


def stored_bytes(root: Path = FEATURES) -> int:
    """What the files of a store take."""
    if not root.is_dir():
        return 0
    with _changing(root):
        return sum(path.stat().st_size for path in root.glob("*/*"))


def _changing(root: Path) -> FileLock:
    """Held in the moments in which files appear, get their name, or go."""
    return FileLock(root / ".lock")


def _size(kind: Kind) -> int:
    dtype, shape = kind
    return HEADER + dtype.itemsize * math.prod(shape)


def _begin(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> Kept:
    """A new file of its whole size, held alone."""
    with full_disk_named(path):
        np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        file = path.open("r+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)  # a sparse file on a full disk would be a bus error
    return Kept(_mapped(file, "r+"), file)


def _held(path: Path, how: int) -> BinaryIO | None:
    """The file, locked; None where there is none, or where another process has it in a way that forbids this."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except (FileNotFoundError, BlockingIOError):
            return None
        stack.pop_all()
    return file


def _remove(path: Path) -> bool:
    """Remove a file that nobody reads or writes, and its folder if that is empty then; whether it was one."""
    if (file := _held(path, fcntl.LOCK_EX)) is None:
        return False
    with file:
        path.unlink()
    if not any(path.parent.iterdir()):
        path.parent.rmdir()
    return True


def _mapped(file: BinaryIO, mode: str = "r") -> np.memmap:
    """The array of an open .npy file, by this file and not by its name."""
    version = np.lib.format.read_magic(file)
    assert version == (1, 0)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return np.memmap(file, dtype=dtype, mode=mode, offset=file.tell(), shape=shape)  # type: ignore[call-overload]
