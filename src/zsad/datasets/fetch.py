"""`zsad fetch`: bring a dataset's raw data under data/raw, or an inventory of where it lies."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, file_sha256, write_json
from zsad.config.schema import DatasetParams
from zsad.datasets.archives import unpack, unpacked_by_hand
from zsad.datasets.catalogue import Entry, is_entry_file
from zsad.datasets.demo import draw
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.datasets.layouts import Files, mvtec_layout
from zsad.datasets.layouts.mvtec import MVTEC_LIKE, MvtecLike
from zsad.datasets.listing import list_images
from zsad.datasets.official import READ_SUFFIXES, cut_if_needed, official_entry, read_official
from zsad.datasets.places import HERE, RAW, Places
from zsad.datasets.transport.access import access_named, ended_by_sigterm
from zsad.datasets.transport.extract import extract, is_text
from zsad.datasets.transport.formats import archive_format, read_head

INVENTORY = "folder.json"
SCRATCH = ".scratch"


@access_named()
def fetch(key: str, params: DatasetParams, out: Path | None = None, places: Places = HERE) -> None:
    """Write `out` (default data/raw/<key>) whole or not at all.

    Pictures of a demo set; files of a published set, or the pieces that the papers cut of them; pictures of an archive
    or an address of the user's; or an inventory of a folder of theirs.
    """
    with ended_by_sigterm(), atomic_directory(out or RAW / key) as directory:
        if params.kind == "demo":
            draw(key, directory)
        elif params.kind == "official":
            _fetch_official(key, params, directory, places)
        else:
            _fetch_own(key, params, directory, places)


def _fetch_own(key: str, params: DatasetParams, directory: Path, places: Places) -> None:
    """A folder stays where it is; what came from an archive or an address is put here."""
    where = f"params.yaml: datasets.{key}.{'url' if params.url else 'path'}"
    given = Path(params.path)
    if params.url:
        from zsad.datasets.transport.remote import bring  # HTTP clients: not for those who only look

        given = bring(key, params.url, IMAGE_SUFFIXES, places.store, places.policy)
    if given.is_file():
        _unpack_own(given, where, directory)
    elif params.url:
        _take_over(given, where, params.url, directory)
    else:
        _write_inventory(given, where, directory)


def _unpack_own(archive: Path, where: str, directory: Path) -> None:
    if not archive_format(read_head(archive)):
        raise UserError(f"{where}: {archive}: neither a folder nor an archive; give one in MVTec layout")
    by_hand = f"unpack it by hand and give that folder as `path` ({where})"
    with _scratch(directory) as scratch:
        extract(archive, scratch / "tree", by_hand=by_hand)
        _take_over(scratch / "tree", where, str(archive), directory)


def _take_over(tree: Path, where: str, shown: str, directory: Path) -> None:
    """The categories' folders of a set in MVTec layout, which may begin below a folder or two, without copying them."""
    found = MVTEC_LIKE.locate(Files(tree, tuple(list_images(tree))), MvtecLike())
    root = found.root if found else tree
    mvtec_layout(list_images(root), f"{where}: {shown}")
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        shutil.copytree(folder, directory / folder.name, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(source, target)


def _fetch_official(key: str, params: DatasetParams, directory: Path, places: Places) -> None:
    """From its archives where `path` names an entry of the catalogue, else from the folder they were unpacked to."""
    identifier, entry = official_entry(key, params)
    folder: Path | None = Path(params.path)
    if is_entry_file(params.path):
        by_hand = unpacked_by_hand(identifier, entry, places)
        folder = by_hand.folder if by_hand.is_whole else None
    if folder is None:
        _unpack_official(identifier, entry, directory, places)
    elif not (folder.is_dir() and _cut(entry, folder, directory)):
        _write_inventory(folder, f"params.yaml: datasets.{key}.path", directory, READ_SUFFIXES)


def _unpack_official(identifier: str, entry: Entry, directory: Path, places: Places) -> None:
    with _scratch(directory) as scratch:
        tree = unpack(identifier, entry, scratch, places)
        if _cut(entry, tree, directory):
            return
        _check_form(identifier, entry, tree, places)
        if (tree / INVENTORY).exists():
            raise UserError(
                f"{identifier}: its archive has a {INVENTORY} at its top, a name that is needed here; "
                f"unpack it by hand into {places.drop / identifier}/ and run the command again"
            )
        for path in tree.iterdir():
            path.replace(directory / path.name)


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
        expected = "or an archive in MVTec layout" if suffixes == IMAGE_SUFFIXES else "with the unpacked archive"
        raise UserError(f"{where}: {root}: no such folder; give an existing folder {expected}")
    files = list_images(root, suffixes)
    if not files:
        raise UserError(
            f"{where}: {root}: no pictures there ({', '.join(IMAGE_SUFFIXES)}); docs/datasets.md has the layout"
        )
    if unfit := [name for name in files if not is_text(name)]:
        raise UserError(f"{where}: {root}: the name of {unfit[0]!r} is not UTF-8; rename it")
    inventory = {"path": root.as_posix(), "files": [[name, file_sha256(root / name)] for name in files]}
    write_json(directory / INVENTORY, inventory)


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """A folder inside of a half-written one: a killed process leaves it where the next one clears."""
    scratch = directory / SCRATCH
    scratch.mkdir()
    yield scratch
    shutil.rmtree(scratch)
