"""Published datasets as their archives come: find a set in the tree, cut it where the papers do, read and check it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.config.schema import DatasetParams
from zsad.config.validation import validate
from zsad.datasets.catalogue import Entry, LayoutChoice, entry_of, is_entry_file
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.datasets.layouts import CUTTERS, LAYOUTS, Files, Item, Layout, listed
from zsad.datasets.layouts.base import Options, category_notes, located, moved, stem_of

READ_SUFFIXES = (*IMAGE_SUFFIXES, ".csv", ".json", ".txt")
PREPARED = LayoutChoice(name="meta_json")  # what the papers' own scripts leave behind, whatever the set


def official_entry(key: str, params: DatasetParams) -> tuple[str, Entry]:
    """`catalogue.entry_of`, and a UserError for an entry that no files could be read by."""
    identifier, entry = entry_of(key, params)
    if is_entry_file(params.path):
        _check_forms(entry, params.path)
    return identifier, entry


def is_known_form(entry: Entry, files: Files) -> bool:
    """Whether the files that each form of the set needs at least are there, for one of its forms."""
    cutter = CUTTERS.get(entry.layout.name)
    return bool(cutter and located(files, cutter.signature)) or _found(entry, files) is not None


def cut_if_needed(entry: Entry, files: Files, out: Path) -> bool:
    """Write the pieces into `out` when the papers cut this set and `files` are its whole pictures."""
    cutter = CUTTERS.get(entry.layout.name)
    whole = cutter and located(files, cutter.signature)
    if not cutter or not whole:
        return False
    cutter.cut(whole, next(iter(entry.categories)), entry.unusable_masks, out)
    return True


def read_official(entry: Entry, files: Files) -> tuple[list[Item], list[str]]:
    """(items sorted by path, notes) of the set. UserError when files are not in a known form, or counts differ."""
    layout, options, found = _form(entry, files)
    _check_contents(entry, files)
    items, notes = layout.read(found, options)
    items = _as_entered(moved(items, found.prefix), entry)
    items = sorted(_with_share_of_normals(items, options), key=lambda item: item.path)
    _check_masks(entry, items, files)
    return items, [*notes, *check_counts(entry, items, str(files.root)), *category_notes(items), *entry.notes]


def layout_of(form: LayoutChoice, where: str, image_only: bool = False) -> tuple[Layout[Any], Options]:
    """A layout and its checked options; UserError with the list of layouts when there is none of that name."""
    if form.name not in LAYOUTS:
        raise UserError(f"{where}: no layout {form.name!r}; there are: {', '.join(sorted(LAYOUTS))}")
    layout = LAYOUTS[form.name]
    options = validate(layout.options, {"image_only": image_only, **form.options}, where, form.name)
    if not layout.signature(options):
        raise UserError(f"{where}: {form.name}: its options name no file or folder by which the set is known")
    return layout, options


def _check_forms(entry: Entry, where: str) -> None:
    """UserError before anything is fetched, when the layouts' options are faulty."""
    for form in entry.forms:
        layout_of(form, where, not entry.labels.pixel)
    if entry.layout.name in CUTTERS and len(entry.categories) != 1:
        count = len(entry.categories)
        raise UserError(f"{where}: categories: {entry.layout.name} cuts a set of one category, not of {count}")


def _forms(entry: Entry) -> list[tuple[Layout[Any], Options]]:
    return [layout_of(form, entry.title, not entry.labels.pixel) for form in [*entry.forms, PREPARED]]


def _found(entry: Entry, files: Files) -> tuple[Layout[Any], Options, Files] | None:
    """The first form that the files are in, and where in them the set begins."""
    for layout, options in _forms(entry):
        if found := layout.locate(files, options):
            return layout, options, found
    return None


def _form(entry: Entry, files: Files) -> tuple[Layout[Any], Options, Files]:
    if found := _found(entry, files):
        return found
    names = [form.name for form in [*entry.forms, PREPARED]]
    signatures = [", ".join(layout.signature(options)) for layout, options in _forms(entry)]
    tried = "; ".join(f"{name} ({signature})" for name, signature in zip(names, signatures, strict=True))
    raise UserError(
        f"{files.root}: these are not the files of {entry.title}; looked for {tried}; "
        "give the unpacked archive, names as they are in it"
    )


def _check_contents(entry: Entry, files: Files) -> None:
    for name, sha256 in entry.contains.items():
        for found in (path for path in files.names if f"/{path}".endswith(f"/{name}")):
            if (actual := file_sha256(files.root / found)) != sha256:
                raise UserError(
                    f"{files.root / found}: sha256 is {actual}, expected {sha256}: another release of {entry.title}; "
                    "fetch the one that the catalogue names"
                )


def _as_entered(items: Sequence[Item], entry: Entry) -> list[Item]:
    """The items without masks that are known to be empty; a set of one category has it under the entry's name."""
    if len(entry.categories) == 1 and len({item.category for item in items}) == 1:
        items = [replace(item, category=next(iter(entry.categories))) for item in items]
    return [replace(item, mask="") if stem_of(item.path) in entry.unusable_masks else item for item in items]


def _with_share_of_normals(items: Sequence[Item], options: Options) -> list[Item]:
    """Of the normal test pictures, in the order given, a share stays; the others become training pictures.

    The draw is that of scikit-learn's train_test_split(test_size=share, random_state=seed).
    """
    if options.normal_test_fraction is None:
        return list(items)
    normal = [item.path for item in items if item.split == "test" and not item.label]
    order = np.random.RandomState(options.seed).permutation(len(normal))
    kept = {normal[i] for i in order[: math.ceil(options.normal_test_fraction * len(normal))]}
    return [item if item.label or item.path in kept else replace(item, split="train") for item in items]


def _check_masks(entry: Entry, items: Iterable[Item], files: Files) -> None:
    if not entry.labels.pixel:
        return
    bare = [item.path for item in items if item.label and not item.mask]
    files.fail([f"no mask for {path}" for path in bare if stem_of(path) not in entry.unusable_masks])


def check_counts(entry: Entry, items: Iterable[Item], where: str) -> list[str]:
    """Notes; UserError when a category is missing, unknown or has other numbers of test pictures than published."""
    found: dict[str, list[int]] = {}
    for item in items:
        found.setdefault(item.category, [0, 0])[item.label] += item.split == "test"
    problems = _category_problems(entry, found)
    differences = [
        f"{category or 'all categories'}: {counts[0]} normal and {counts[1]} anomalous test pictures, "
        f"expected {expected[0]} and {expected[1]}"
        for category, counts, expected in _comparable(entry, found)
        if counts != expected
    ]
    if differences and not {"expected", "total"} & set(entry.unverified):
        problems += differences
    if problems:
        raise UserError("\n".join(f"{where}: {entry.title}: {problem}" for problem in problems))
    return [f"{difference}; the expected number is not verified" for difference in differences]


def _category_problems(entry: Entry, found: Mapping[str, Sequence[int]]) -> list[str]:
    if not entry.categories:
        return []
    missing = [name for name in entry.categories if name not in found]
    unknown = [name for name in found if name not in entry.categories]
    return [
        f"{what}: {listed(names)}"
        for what, names in (("no pictures of category", missing), ("unknown category", unknown))
        if names
    ]


def _comparable(entry: Entry, found: Mapping[str, list[int]]) -> list[tuple[str, list[int], list[int]]]:
    """(category, found, expected) of what is published; the category is empty for the sum."""
    pairs = [(name, found[name], counts) for name, counts in entry.expected.items() if counts and name in found]
    if entry.total and found:
        pairs.append(("", [sum(column) for column in zip(*found.values(), strict=True)], entry.total))
    return pairs
