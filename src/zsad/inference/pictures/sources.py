"""From what people name to pictures: files, folders with all below them, patterns, a list on stdin."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from zsad.common.errors import UserError
from zsad.datasets.listing import is_wanted, list_images
from zsad.inference.pictures.opening import PICTURE_SUFFIXES

STDIN = "-"


class Source(NamedTuple):
    """A picture's file, and its place below the output, which mirrors the input."""

    file: Path
    place: Path


def named_sources(paths: Sequence[str], out: Path, may_be_none: bool = False) -> list[Source]:
    """All pictures that are named or lie below a named folder, earlier output in `out` apart.

    One folder is mirrored as it is; of several, each under its own name. A pattern is mirrored from its first wildcard
    on. Two pictures for one place are refused, and none at all unless `may_be_none`.
    """
    found: dict[Path, Source] = {}
    inside, real_out = False, out.resolve()
    for source in (source for path in paths for source in _of_path(path, len(paths) > 1)):
        if source.file.resolve().is_relative_to(real_out):
            inside = True
            continue
        first = found.setdefault(source.place, source)
        if first.file != source.file:
            raise clash(source, first.file, out)
    if found or may_be_none:
        return list(found.values())
    if inside:
        raise UserError(f"--out {out}: the pictures lie inside, where earlier output is not read; name another folder")
    raise UserError(f"{', '.join(paths)}: no pictures there ({', '.join(PICTURE_SUFFIXES)})")


def listed_sources(lines: Iterable[str], out: Path) -> Iterator[Source]:
    """The picture of each line, as lines come. A relative path is mirrored as it is written, others from the root."""
    real_out = out.resolve()
    for line in lines:
        name = line.rstrip("\r\n")
        file = Path(name)
        if name and not file.resolve().is_relative_to(real_out):
            plain = file if ".." not in file.parts else Path(os.path.abspath(file))  # noqa: PTH100 (links as written)
            yield Source(file, plain.relative_to(plain.anchor))


def clash(source: Source, other: Path | str, out: Path) -> UserError:
    """What is said of two pictures for one place."""
    return UserError(
        f"{source.file} and {other} would both be written as {out / source.place}; name a folder above both, "
        "quote the pattern, or give each its own --out"
    )


def _of_path(name: str, is_one_of_many: bool) -> Iterator[Source]:
    path = Path(name)
    if path.is_dir():
        prefix = Path(path.resolve().name) if is_one_of_many else Path()
        yield from (Source(path / below, prefix / below) for below in list_images(path, PICTURE_SUFFIXES))
    elif path.exists():
        yield Source(path, Path(path.name))
    elif glob.has_magic(name):
        yield from _of_pattern(name)
    else:
        raise UserError(f"{path}: no such file or folder")


def _of_pattern(pattern: str) -> Iterator[Source]:
    """Pictures that a pattern matches, and those in folders that it matches; `**` is any depth."""
    fixed = Path(*_before_wildcard(Path(pattern)))
    for match in map(Path, sorted(glob.glob(pattern, recursive=True))):  # noqa: PTH207 (Path.glob takes no absolute one)
        below = list_images(match, PICTURE_SUFFIXES) if match.is_dir() else None
        files = [match / one for one in below] if below is not None else [match]
        wanted = (file for file in files if is_wanted(file, PICTURE_SUFFIXES))
        yield from (Source(file, file.relative_to(fixed)) for file in wanted)


def _before_wildcard(pattern: Path) -> Iterator[str]:
    for part in pattern.parts:
        if glob.has_magic(part):
            return
        yield part
