"""A folder per class, some of them normal; without masks, or with masks beside the pictures."""

from pathlib import PurePosixPath

from pydantic import Field

from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading, listed, pair_by_stem, suffix_of


class ClassFolders(Options):
    """normal, anomalous: names of folders; no other is read. subdir: where in them the pictures lie.

    only: folder → extension, case as written, of the pictures that count.
    """

    normal: list[str]
    anomalous: list[str]
    subdir: str = ""
    only: dict[str, str] = Field(default_factory=dict)


class ClassFoldersPairs(ClassFolders):
    """As class_folders; in one folder, the files with extension `image_suffix` are pictures, the others masks."""

    image_suffix: str = ".jpg"


def _folders(options: ClassFolders) -> dict[str, int]:
    """path of each folder of pictures → label."""
    labels = {**dict.fromkeys(options.normal, 0), **dict.fromkeys(options.anomalous, 1)}
    return {str(PurePosixPath(name, options.subdir)): label for name, label in labels.items()}


def _signature(options: ClassFolders) -> list[str]:
    return [f"{folder}/*" for folder in _folders(options)]


def _read(files: Files, options: ClassFolders) -> Reading:
    folders = _folders(options)
    placed = [(name, str(PurePosixPath(name).parent)) for name in files.pictures]
    kept = [(name, folder) for name, folder in placed if folder in folders and _counts(name, options)]
    items = [_item(name, folders[folder], "") for name, folder in kept]
    return items, _notes({folder for _, folder in placed} - set(folders))


def _read_pairs(files: Files, options: ClassFoldersPairs) -> Reading:
    if options.image_only:
        return _read(files, options)
    items, problems = [], []
    for folder, label in _folders(options).items():
        inside = [name for name in files.pictures if str(PurePosixPath(name).parent) == folder]
        pictures = [name for name in inside if suffix_of(name).lower() == options.image_suffix]
        pairs, found = pair_by_stem(pictures, set(inside) - set(pictures))
        problems += found
        items += [_item(name, label, mask if label else "") for name, mask in pairs.items()]
    files.fail(problems)
    return items, _notes({str(PurePosixPath(name).parent) for name in files.pictures} - set(_folders(options)))


def _counts(name: str, options: ClassFolders) -> bool:
    return suffix_of(name) == options.only.get(PurePosixPath(name).parts[0], suffix_of(name))


def _item(name: str, label: int, mask: str) -> Item:
    return Item(name, "", "test", label, PurePosixPath(name).parts[0] if label else NORMAL, mask)


def _notes(ignored: set[str]) -> list[str]:
    return [f"folders that are neither normal nor anomalous are left out: {listed(sorted(ignored))}"] if ignored else []


CLASS_FOLDERS = Layout(ClassFolders, _signature, _read)
CLASS_FOLDERS_PAIRS = Layout(ClassFoldersPairs, _signature, _read_pairs)
