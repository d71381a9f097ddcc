"""Unpacking archives that nobody vouches for: whole or not at all, nothing outside the folder, no links, no bombs."""

import fnmatch
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rich.filesize import decimal

from zsad.common.errors import UserError
from zsad.common.io import atomic_directory
from zsad.datasets.transport.disk_space import require_space
from zsad.datasets.transport.members import Member, open_archive
from zsad.datasets.transport.meter import Meter, byte_meter
from zsad.datasets.transport.policy import DROP

LIMIT = 200 * 2**30  # bytes
RATIO = 200  # unpacked : packed; an archive of photographs has 1, one of drawn masks less than 100
HARMLESS = 2**27  # bytes that any archive may unpack to, whatever its ratio: masks alone shrink a thousandfold
ENTRY = 512  # bytes that a member costs at least, so that a million empty files are counted as well
CHUNK = 1 << 20
LONGEST_NAME = 255  # bytes, on all usual file systems
JUNK_FOLDER = "__MACOSX"
JUNK_FILES = (".DS_Store", "Thumbs.db")


def extract(archive: Path, directory: Path, limit: int = LIMIT, nested: Sequence[str] = (), by_hand: str = "") -> None:
    """Unpack a zip or tar (.gz, .xz, .bz2) archive into `directory`, which it replaces; whole or not at all.

    nested: patterns (`*/part?.zip`) of members that are archives themselves; each is unpacked into the folder where it
    lies and then removed, one level deep. limit: bytes that may be unpacked in all. by_hand: what messages tell those
    who unpack by hand (default: into data/drop/ and the archive's folder). Metadata of desktops is left out.
    UserError, with nothing written, for absolute paths, `..`, drive letters, backslashes, names that are not UTF-8 or
    occur twice (capitals aside), links, devices, encrypted members, more bytes than allowed, damage, and for 7z, rar.
    """
    with atomic_directory(directory) as temporary, byte_meter(f"unpacking {archive.name}") as meter:
        tree = _Tree(temporary, _allowed(archive, limit), by_hand or unpacking_into(DROP / archive.parent.name), meter)
        tree.unpack(archive, str(archive), PurePosixPath())
        for inner in tree.matching(nested, str(archive)):
            tree.unpack(temporary / inner, f"{archive}: {inner}", inner.parent)
            (temporary / inner).unlink()


class _Tree:
    """The folder that is written: which names are taken, and how many bytes may still come."""

    def __init__(self, root: Path, allowed: int, by_hand: str, meter: Meter) -> None:
        self.root, self.allowed, self.by_hand, self.meter = root, allowed, by_hand, meter
        self.written = 0
        self.files: list[PurePosixPath] = []
        self.is_directory: dict[str, bool] = {}

    def unpack(self, archive: Path, shown: str, below: PurePosixPath) -> None:
        """Write the members of `archive` below the folder `below`."""
        with open_archive(archive, shown, self.by_hand) as contents:
            if contents.total is not None and contents.count is not None:
                self._check(contents.total + ENTRY * contents.count, shown)
                require_space(self.root.parent, contents.total, f"unpacking {shown}")
            for member in contents.members:
                if not _is_junk(member.name):
                    self._add(member, shown, below)

    def matching(self, patterns: Sequence[str], shown: str) -> list[PurePosixPath]:
        """Files so far whose path matches one of `patterns`; a pattern without a match is an error."""
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(str(file), pattern) for file in self.files):
                raise UserError(f"{shown}: holds no {pattern}; is it the right archive?")
        return [file for file in self.files if any(fnmatch.fnmatchcase(str(file), pattern) for pattern in patterns)]

    def _add(self, member: Member, shown: str, below: PurePosixPath) -> None:
        if problem := name_problem(member.name) or member.problem:
            raise self._refusal(shown, f"{member.name!r} {problem}")
        path = below / member.name
        if path == below:  # the entry "./" of many tars
            return
        if not self._take(path, member.is_directory):
            raise self._refusal(shown, f"{member.name!r} occurs twice (capitals aside)")
        self._check(self.written + ENTRY + member.size, shown)
        target = self.root / path
        if member.is_directory:
            target.mkdir(parents=True, exist_ok=True)
            self.written += ENTRY
            return
        self._write(member, target, shown)
        self.files.append(path)

    def _write(self, member: Member, target: Path, shown: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self.written += ENTRY
        with member.open() as source, target.open("xb") as file:
            while data := source.read(CHUNK):
                self.written += len(data)
                self._check(self.written, shown)  # again, because declared sizes lie
                file.write(data)
                self.meter.advance(len(data))

    def _take(self, path: PurePosixPath, is_directory: bool) -> bool:
        """Reserve a name; False when a file has it already, or it is needed for a file but is a folder."""
        for parent in path.parents:
            if not self.is_directory.setdefault(_folded(parent), True):
                return False
        name = _folded(path)
        if name in self.is_directory:
            return is_directory and self.is_directory[name]
        self.is_directory[name] = is_directory
        return True

    def _check(self, total: int, shown: str) -> None:
        if total > self.allowed:
            raise self._refusal(shown, f"it unpacks to more than {decimal(self.allowed)}, the most that is allowed")

    def _refusal(self, shown: str, why: str) -> UserError:
        return UserError(f"{shown}: refused, because {why}; if you trust it, {self.by_hand}")


def _allowed(archive: Path, limit: int) -> int:
    """Bytes that an archive may unpack to: a bomb is small and unpacks to very much."""
    return min(limit, max(HARMLESS, RATIO * archive.stat().st_size))


def unpacking_into(drop: Path) -> str:
    """What people are told when only they can unpack."""
    return f"unpack it by hand into {drop}/ and run the command again"


def name_problem(name: str) -> str:
    """Why a file must not be written under its name; empty for a plain relative path."""
    parts = name.split("/")
    if not name or any(ord(letter) < 32 for letter in name):
        return "is not a name"
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return "is an absolute path"
    if "\\" in name:
        return "has a backslash"
    if ".." in parts:
        return "leads out of the folder"
    if not is_text(name):
        return "is not UTF-8"
    return "is too long" if any(len(os.fsencode(part)) > LONGEST_NAME for part in parts) else ""


def is_text(name: str) -> bool:
    """Whether a name can be written into a UTF-8 file: Python keeps bytes that are no text as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _is_junk(name: str) -> bool:
    return JUNK_FOLDER in PurePosixPath(name).parts or PurePosixPath(name).name in JUNK_FILES


def _folded(path: PurePosixPath) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", str(path)).casefold()
