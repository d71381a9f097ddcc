"""The layout of MVTec AD, and sets that differ from it in the names of their folders."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from zsad.common.errors import UserError
from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading, category_notes, listed

SPLITS = ("train", "test")
MASKS = "ground_truth"


class MvtecLike(Options):
    """Names of the folders of normal test pictures, of test pictures, of masks; what masks add to a picture's name."""

    normal_dir: str = NORMAL
    test_dir: str = "test"
    mask_dir: str = MASKS
    mask_suffix: str = "_mask"


def mvtec_layout(files: Iterable[str], where: str) -> Reading:
    """(items sorted by path, notes) of a set in the layout of MVTec AD.

    <category>/train/good/*, <category>/test/good/*, <category>/test/<defect>/*,
    <category>/ground_truth/<defect>/<stem>_mask.<any> or <stem>.<any>; all but test/* may be missing.
    `files`: POSIX paths of all pictures relative to `where`. UserError for masks and pictures that do not pair up.
    """
    items, notes = _read(files, where, MvtecLike())
    return items, [*notes, *category_notes(items)]


def _signature(options: MvtecLike) -> list[str]:
    if options.normal_dir == NORMAL:
        return [f"*/{options.test_dir}/*/**"]
    return [f"*/{options.test_dir}/{options.normal_dir}/**"]


def _read_like(files: Files, options: MvtecLike) -> Reading:
    masks = f"/{options.mask_dir}/"
    names = [name for name in files.pictures if not (options.image_only and masks in name)]
    return _read(names, str(files.root), options)


MVTEC_LIKE = Layout(MvtecLike, _signature, _read_like)


@dataclass(frozen=True)
class _Place:
    """folder: train, test or ground_truth. stem: path below the defect folder, without extension."""

    path: str
    category: str
    folder: str
    kind: str
    stem: str

    @property
    def is_anomalous(self) -> bool:
        return self.folder == "test" and self.kind != NORMAL

    @property
    def is_known(self) -> bool:
        if self.folder == "train":
            return self.kind == NORMAL
        # Some sets ship black masks for their normal pictures; they say nothing.
        return self.folder == "test" or (self.folder == MASKS and self.kind != NORMAL)

    def item(self, mask: str) -> Item:
        return Item(self.path, self.category, self.folder, int(self.is_anomalous), self.kind, mask)


def _read(files: Iterable[str], where: str, options: MvtecLike) -> Reading:
    placed, stray = _sort_into_places(files, options)
    pictures = [place for place in placed if place.folder in SPLITS]
    if not any(place.folder == "test" for place in pictures):
        raise UserError(
            f"{where}: no picture below <category>/{options.test_dir}/<good or defect>/; {_layout_hint(stray)}"
        )
    masks = [place for place in placed if place.folder == MASKS]
    pairs = _pair_masks([place for place in pictures if place.is_anomalous], masks, where, options)
    items = [place.item(pairs.get(place.path, "")) for place in pictures]
    return sorted(items, key=lambda item: item.path), list(_stray_notes(stray, options))


def _sort_into_places(files: Iterable[str], options: MvtecLike) -> tuple[list[_Place], list[str]]:
    placed, stray = [], []
    for path in files:
        place = _place(path, options)
        if place and place.is_known:
            placed.append(place)
        else:
            stray.append(path)
    return placed, stray


def _place(path: str, options: MvtecLike) -> _Place | None:
    category, _, rest = path.partition("/")
    # Masks first: some sets keep them inside of the folder of test pictures.
    for folder, name in ((MASKS, options.mask_dir), ("train", "train"), ("test", options.test_dir)):
        kind, below, file = rest.removeprefix(f"{name}/").partition("/")
        if below and rest.startswith(f"{name}/"):
            kind = NORMAL if kind == options.normal_dir else kind
            return _Place(path, category, folder, kind, str(PurePosixPath(file).with_suffix("")))
    return None


def _pair_masks(anomalous: Sequence[_Place], masks: Sequence[_Place], where: str, options: MvtecLike) -> dict[str, str]:
    """picture path → mask path. Pairs by stem, never by position: one missing file must not shift the others."""
    free = _by_stem(masks)
    pairs: dict[str, str] = {}
    problems: list[str] = []
    masked_categories = {mask.category for mask in masks}
    for (category, kind, stem), pictures in sorted(_by_stem(anomalous).items()):
        found = [path for name in (stem + options.mask_suffix, stem) for path in free.pop((category, kind, name), [])]
        if len(pictures) > 1 or len(found) > 1:
            problems.append(f"more than one file of the same name: {listed([*pictures, *found])}")
        elif found:
            pairs[pictures[0]] = found[0]
        elif category in masked_categories:
            expected = f"{category}/{options.mask_dir}/{kind}/{stem}{options.mask_suffix}.*"
            problems.append(f"no mask for {pictures[0]} (expected {expected})")
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


def _stray_notes(stray: Sequence[str], options: MvtecLike) -> Iterator[str]:
    if stray:
        places = f"train/{options.normal_dir}, {options.test_dir}/*, {options.mask_dir}/*"
        yield f"{len(stray)} pictures outside of {places} are left out: {listed(stray)}"
