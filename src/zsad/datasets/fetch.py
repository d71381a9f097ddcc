"""`zsad fetch`: bring a dataset's raw data under data/raw, or an inventory of where it lies."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from zsad.config import DatasetParams
from zsad.datasets import demo
from zsad.datasets.archives import HERE, Places, unpack, unpacked_by_hand
from zsad.datasets.catalogue import FOLDER, Entry, catalogued
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.datasets.layouts import Files
from zsad.datasets.official import READ_SUFFIXES, cut_if_needed, official_entry, read_official
from zsad.errors import UserError
from zsad.io import atomic_directory, file_sha256, write_json

RAW = Path("data/raw")
INVENTORY = "folder.json"
JUNK = ("__MACOSX", "Thumbs.db")


def fetch(key: str, params: DatasetParams, out: Path | None = None, places: Places = HERE) -> None:
    """Write `out` (default data/raw/<key>) whole or not at all.

    Pictures of a demo set; files of a published set, or the pieces that the papers cut of them; or an inventory of a
    folder of the user's.
    """
    with atomic_directory(out or RAW / key) as directory:
        if params.kind == "demo":
            demo.generate(key, directory)
        elif params.kind == "official":
            _fetch_official(key, params, directory, places)
        else:
            _write_inventory(Path(params.path), f"params.yaml: datasets.{key}.path", directory)


def published_params(key: str) -> DatasetParams:
    """The block that a published set would have in params.yaml; UserError when the catalogue has no such id."""
    catalogued(key, f"params.yaml: no datasets.{key}")
    return DatasetParams(kind="official", path=(FOLDER / f"{key}.yaml").as_posix())


def list_images(root: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[str]:
    """POSIX paths, relative to `root` and sorted, of all files with a picture's extension; hidden files left out."""
    return sorted(path.relative_to(root).as_posix() for path in _walk(root) if _is_wanted(path, suffixes))


def _fetch_official(key: str, params: DatasetParams, directory: Path, places: Places) -> None:
    """From its archives where `path` names an entry of the catalogue, else from the folder they were unpacked to."""
    identifier, entry = official_entry(key, params)
    folder: Path | None = Path(params.path)
    if params.path.endswith(".yaml"):
        folder = unpacked_by_hand(identifier, places)
    if folder is None:
        with TemporaryDirectory(dir=directory.parent) as scratch:
            unpack(identifier, entry, Path(scratch), places)
            if not _cut(entry, Path(scratch), directory):
                _check_form(identifier, entry, Path(scratch), places)
                for path in Path(scratch).iterdir():
                    path.replace(directory / path.name)
    elif not _cut(entry, folder, directory):
        _write_inventory(folder, f"params.yaml: datasets.{key}.path", directory, READ_SUFFIXES)


def _check_form(identifier: str, entry: Entry, root: Path, places: Places) -> None:
    """UserError that names where the archives lie when their files are not those of the set."""
    try:
        read_official(entry, Files(root, tuple(list_images(root, READ_SUFFIXES))))
    except UserError as error:
        here = f"{places.store / identifier} or {places.drop / identifier}"
        told = str(error).replace(str(root), identifier)
        raise UserError(
            f"{told}\n{identifier}: remove the wrong archive from {here} and run the command again"
        ) from error


def _cut(entry: Entry, root: Path, directory: Path) -> bool:
    """Whether the papers cut this set, so that its pieces were written to `directory`."""
    return cut_if_needed(entry, Files(root, tuple(list_images(root))), directory)


def _write_inventory(root: Path, where: str, directory: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> None:
    if not root.is_dir():
        expected = "in MVTec layout" if suffixes == IMAGE_SUFFIXES else "with the unpacked archive"
        raise UserError(f"{where}: {root}: no such folder; give an existing folder {expected}")
    files = list_images(root, suffixes)
    if not files:
        raise UserError(
            f"{where}: {root}: no pictures in this folder ({', '.join(IMAGE_SUFFIXES)}); see the layout in the README"
        )
    inventory = {"path": root.as_posix(), "files": [[name, file_sha256(root / name)] for name in files]}
    write_json(directory / INVENTORY, inventory)


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


def _is_wanted(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes and not _is_junk(path.name)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name in JUNK
