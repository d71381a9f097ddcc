"""Names of the files below a folder: no hidden ones, none of a desktop's own, links followed."""

import os
from collections.abc import Iterator
from pathlib import Path

from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.datasets.transport.access import access_named

JUNK = ("__MACOSX", "Thumbs.db")


@access_named()
def list_images(root: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[str]:
    """POSIX paths, relative to `root` and sorted, of all files with a picture's extension; hidden files left out.

    UserError names a folder that cannot be read.
    """
    return sorted(path.relative_to(root).as_posix() for path in _walk(root) if is_wanted(path, suffixes))


def is_wanted(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a file has one of these extensions and is not hidden."""
    return path.suffix.lower() in suffixes and not _is_junk(path.name)


def _walk(root: Path) -> Iterator[Path]:
    """All files below `root`; linked folders are followed, each real folder entered once."""
    seen: set[Path] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_fail):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not _is_junk(name))
        yield from (Path(folder) / name for name in files)


def _fail(error: OSError) -> None:
    raise error


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name in JUNK
