"""Folder layouts: from the names of the files of a dataset to its pictures, labels and masks."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from zsad.errors import UserError

NORMAL = "good"
MASK_SUFFIX = "_mask"
SPLITS = ("train", "test")
MASK_FOLDER = "ground_truth"
SHOWN = 10  # names listed in a message before it says how many more


@dataclass(frozen=True)
class Item:
    """One picture as its place says: label 0 normal, 1 anomalous; `mask` is a relative path or empty."""

    path: str
    category: str
    split: str
    label: int
    defect_type: str
    mask: str


def mvtec_layout(files: Iterable[str], where: str) -> tuple[list[Item], list[str]]:
    """(items sorted by path, notes) of a set in the layout of MVTec AD.

    <category>/train/good/*, <category>/test/good/*, <category>/test/<defect>/*,
    <category>/ground_truth/<defect>/<stem>_mask.<any> or <stem>.<any>; all but test/* may be missing.
    `files`: POSIX paths of all pictures relative to `where`. UserError for masks and pictures that do not pair up.
    """
    placed, stray = _sort_into_places(files)
    pictures = [place for place in placed if place.folder in SPLITS]
    if not any(place.folder == "test" for place in pictures):
        raise UserError(f"{where}: no picture below <category>/test/<good or defect>/; {_layout_hint(stray)}")
    masks = [place for place in placed if place.folder == MASK_FOLDER]
    pairs = _pair_masks([place for place in pictures if place.is_anomalous], masks, where)
    items = [place.item(pairs.get(place.path, "")) for place in pictures]
    return sorted(items, key=lambda item: item.path), [*_stray_notes(stray), *_category_notes(items)]


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


@dataclass(frozen=True)
class _Place:
    path: str
    category: str
    folder: str
    kind: str

    @property
    def is_anomalous(self) -> bool:
        return self.folder == "test" and self.kind != NORMAL

    @property
    def stem(self) -> str:
        """Path below the defect folder, without extension: pictures and masks meet on it."""
        return str(PurePosixPath(*PurePosixPath(self.path).parts[3:]).with_suffix(""))

    def item(self, mask: str) -> Item:
        return Item(self.path, self.category, self.folder, int(self.is_anomalous), self.kind, mask)


def _sort_into_places(files: Iterable[str]) -> tuple[list[_Place], list[str]]:
    placed, stray = [], []
    for path in files:
        parts = PurePosixPath(path).parts
        place = _Place(path, *parts[:3]) if len(parts) >= 4 else None
        if place and _is_known(place):
            placed.append(place)
        else:
            stray.append(path)
    return placed, stray


def _is_known(place: _Place) -> bool:
    if place.folder == "train":
        return place.kind == NORMAL
    # Some sets ship black masks for their normal pictures; they say nothing.
    return place.folder == "test" or (place.folder == MASK_FOLDER and place.kind != NORMAL)


def _pair_masks(anomalous: Sequence[_Place], masks: Sequence[_Place], where: str) -> dict[str, str]:
    """picture path → mask path. Pairs by stem, never by position: one missing file must not shift the others."""
    free = _by_stem(masks)
    pairs: dict[str, str] = {}
    problems: list[str] = []
    masked_categories = {mask.category for mask in masks}
    for (category, kind, stem), pictures in sorted(_by_stem(anomalous).items()):
        found = [path for name in (stem + MASK_SUFFIX, stem) for path in free.pop((category, kind, name), [])]
        if len(pictures) > 1 or len(found) > 1:
            problems.append(f"more than one file of the same name: {listed([*pictures, *found])}")
        elif found:
            pairs[pictures[0]] = found[0]
        elif category in masked_categories:
            problems.append(
                f"no mask for {pictures[0]} (expected {category}/{MASK_FOLDER}/{kind}/{stem}{MASK_SUFFIX}.*)"
            )
    problems += [f"no picture for mask {path}" for paths in free.values() for path in paths]
    if problems:
        raise UserError("\n".join(f"{where}: {problem}" for problem in problems))
    return pairs


def _by_stem(places: Iterable[_Place]) -> dict[tuple[str, str, str], list[str]]:
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for place in sorted(places, key=lambda place: place.path):
        groups[place.category, place.kind, place.stem].append(place.path)
    return dict(groups)


def _layout_hint(stray: Sequence[str]) -> str:
    if any(PurePosixPath(path).parts[0] in SPLITS for path in stray):
        return "this folder is a single category: give the folder above it"
    return "see the layout of MVTec AD in the README"


def _stray_notes(stray: Sequence[str]) -> Iterator[str]:
    if stray:
        yield f"{len(stray)} pictures outside of train/good, test/*, ground_truth/* are left out: {listed(stray)}"


def _category_notes(items: Sequence[Item]) -> Iterator[str]:
    for category in sorted({item.category for item in items}):
        test = [item for item in items if item.category == category and item.split == "test"]
        labels = {item.label for item in test}
        if not test:
            yield f"{category}: no test picture"
        elif labels == {1}:
            yield f"{category}: no normal test picture; image metrics are undefined"
        elif labels == {0}:
            yield f"{category}: no anomalous test picture; all metrics are undefined"
        if 1 in labels and not any(item.mask for item in test):
            yield f"{category}: no masks; pixel metrics are undefined"
