"""`zsad fetch`: bring a dataset's raw data under data/raw, or an inventory of where it lies."""

import os
from collections.abc import Iterator
from pathlib import Path

from zsad.config import DatasetParams
from zsad.datasets import demo
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.errors import UserError
from zsad.io import atomic_directory, file_sha256, write_json

RAW = Path("data/raw")
INVENTORY = "folder.json"
JUNK = ("__MACOSX", "Thumbs.db")


def fetch(key: str, params: DatasetParams, out: Path | None = None) -> None:
    """Write `out` (default data/raw/<key>) whole or not at all: pictures of a demo set, or a folder's inventory."""
    with atomic_directory(out or RAW / key) as directory:
        if params.kind == "demo":
            demo.generate(key, directory)
        else:
            write_json(directory / INVENTORY, _inventory(key, params))


def list_images(root: Path) -> list[str]:
    """POSIX paths, relative to `root` and sorted, of all files with a picture's extension; hidden files left out."""
    return sorted(path.relative_to(root).as_posix() for path in _walk(root) if _is_picture(path))


def _inventory(key: str, params: DatasetParams) -> dict[str, object]:
    root = Path(params.path)
    where = f"params.yaml: datasets.{key}.path: {params.path}"
    if not root.is_dir():
        raise UserError(f"{where}: no such folder; give an existing folder in MVTec layout")
    files = list_images(root)
    if not files:
        raise UserError(
            f"{where}: no pictures in this folder ({', '.join(IMAGE_SUFFIXES)}); see the layout in the README"
        )
    return {"path": params.path, "files": [[name, file_sha256(root / name)] for name in files]}


def _walk(root: Path) -> Iterator[Path]:
    """All files below `root`; linked folders are followed, each real folder entered once."""
    seen: set[Path] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not _is_junk(name))
        yield from (Path(folder) / name for name in files)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not _is_junk(path.name)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name in JUNK
