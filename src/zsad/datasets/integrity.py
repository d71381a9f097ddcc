"""What decoding every picture and mask of a set once tells: facts for its manifest, faults, and notes on oddities.

Faults (files that cannot be used) stop the indexing, all in one message. Oddities are noted: a set may be meant so.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from zsad.common.errors import UserError
from zsad.datasets.images import IMAGE_SUFFIXES, in_threads, is_rotated_by_exif, read_image
from zsad.datasets.layouts import Item, fail, listed
from zsad.datasets.layouts.base import SHOWN
from zsad.datasets.manifest import Row
from zsad.datasets.masks import mask_is_marked, read_mask

PLACES = ("test", "ground_truth")  # folders in which a picture and its mask differ
MASK_SUFFIX = "_mask"


@dataclass(frozen=True)
class Fact:
    """One picture and its mask, decoded: size in pixels, hashes (`mask_hash` empty: no mask), and what is odd."""

    width: int
    height: int
    pixel_hash: str
    mask_hash: str
    is_all_marked: bool
    is_rotated: bool


def inspect_all(root: Path, items: Sequence[Item], rule: str) -> list[Fact]:
    """The fact of each item; `rule` as in `read_mask`. All unreadable or unfit files are listed in one UserError."""
    facts = in_threads(lambda item: _inspect(root, item, rule), items)
    fail([str(fact) for fact in facts if isinstance(fact, UserError)])
    return [fact for fact in facts if isinstance(fact, Fact)]


def oddities(root: Path, files: Iterable[str], rows: Sequence[Row], facts: Sequence[Fact], rule: str) -> list[str]:
    """Notes on a set's pictures and masks, in a fixed order; `files`: names of all its files, used or not."""
    pairs = list(zip(rows, facts, strict=True))
    return [
        *_duplicate_notes(rows),
        *note("the mask marks every pixel", [row.mask for row, fact in pairs if fact.is_all_marked]),
        *_normal_mask_notes(root, files, rows, rule),
        *note("EXIF rotation is not applied", [row.path for row, fact in pairs if fact.is_rotated]),
    ]


def _inspect(root: Path, item: Item, rule: str) -> Fact | UserError:
    try:
        pixels = read_image(root / item.path)
        height, width = pixels.shape[:2]
        mask = _mask(root / item.mask, (width, height), rule) if item.mask else None
    except UserError as error:
        return error
    mask_hash = "" if mask is None else pixel_hash(mask.astype(np.uint8))
    is_all_marked = mask is not None and bool(mask.all())
    return Fact(width, height, pixel_hash(pixels), mask_hash, is_all_marked, is_rotated_by_exif(root / item.path))


def _mask(path: Path, size: tuple[int, int], rule: str) -> np.ndarray:
    mask = read_mask(path, size, rule)
    if not mask.any():
        raise UserError(f"{path}: mask of an anomalous picture is empty; mark the anomaly or move the picture to good")
    return mask


def pixel_hash(array: np.ndarray) -> str:
    """First 16 hex digits of the sha256 of decoded pixels and their shape, as `Row.pixel_hash`."""
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def note(what: str, names: Sequence[str]) -> Iterator[str]:
    """One note with the number of files and the first names; none when there are none."""
    if names:
        yield f"{what} ({len(names)}): {listed(names)}"


def _duplicate_notes(rows: Sequence[Row]) -> Iterator[str]:
    """A note for each kind of repetition: within a split, across splits, across labels."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.pixel_hash].append(row)
    kinds: dict[str, list[str]] = defaultdict(list)
    for group in groups.values():
        if len(group) > 1:
            kinds[_crossed(group)].append(" = ".join(row.path for row in group))
    for crossed, repeated in sorted(kinds.items()):
        more = f"; and {len(repeated) - SHOWN} more" if len(repeated) > SHOWN else ""
        yield f"the same picture{crossed} ({len(repeated)}): {'; '.join(repeated[:SHOWN])}{more}"


def _crossed(group: Collection[Row]) -> str:
    crossed = [name for name in ("split", "label") if len({getattr(row, name) for row in group}) > 1]
    return f" across {' and '.join(crossed)}" if crossed else ""


def _normal_mask_notes(root: Path, files: Iterable[str], rows: Sequence[Row], rule: str) -> Iterator[str]:
    """Masks of normal pictures, which no layout uses, that are not black; only looked for in sets with masks."""
    if not any(row.mask for row in rows):
        return
    used = {name for row in rows for name in (row.path, row.mask)}
    normal = {_place(row.path) for row in rows if not row.label}
    spare = [name for name in files if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES and name not in used]
    masks = [name for name in spare if _place(name) in normal]
    told = in_threads(lambda name: _told_by(root / name, rule), masks)
    for fault in ("marks something", "cannot be read"):
        faulty = [name for name, found in zip(masks, told, strict=True) if found == fault]
        yield from note(f"mask of a normal picture {fault}; it is not used", faulty)


def _told_by(mask: Path, rule: str) -> str:
    try:
        return "marks something" if mask_is_marked(mask, rule) else ""
    except UserError:
        return "cannot be read"


def _place(name: str) -> tuple[str, ...]:
    """What a picture and its mask have in common: the folders but for `PLACES`, and the bare name."""
    path = PurePosixPath(name)
    return (*(part for part in path.parent.parts if part not in PLACES), path.stem.removesuffix(MASK_SUFFIX))
