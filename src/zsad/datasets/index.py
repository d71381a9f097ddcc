"""`zsad index`: decode every picture once, check it, and build the manifest."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median_low
from typing import TypeVar

import numpy as np

from zsad.config import DatasetParams
from zsad.datasets.fetch import INVENTORY, RAW, list_images
from zsad.datasets.images import is_rotated_by_exif, read_image, read_mask
from zsad.datasets.layouts import SHOWN, Item, listed, mvtec_layout
from zsad.datasets.manifest import MANIFESTS, Manifest, Row, write_manifest
from zsad.datasets.registry import Entry, demo_entry
from zsad.errors import UserError
from zsad.io import content_hash, read_json

MASK_RULE = "gt127"
NO_DOMAIN = "other"
T = TypeVar("T")
R = TypeVar("R")


def index(key: str, params: DatasetParams, raw: Path | None = None, base: Path = MANIFESTS) -> Manifest:
    """Build the manifest of `key` from its raw data (default data/raw/<key>) and write it to `base/<key>`."""
    manifest = build_manifest(key, params, raw or RAW / key)
    write_manifest(manifest, base)
    return manifest


def build_manifest(key: str, params: DatasetParams, raw: Path) -> Manifest:
    """The manifest of the set fetched to `raw`. All unreadable or unfit files are listed in one UserError."""
    root, files = _files(key, raw)
    items, notes = mvtec_layout(files, str(root))
    facts = _inspect_all(root, items)
    counts = _counts(items)
    entry = demo_entry(key) if params.kind == "demo" else None
    if entry:
        _check_counts(key, counts, entry)
    names = {**(entry.categories if entry else {}), **params.classes}
    rows = [_row(item, fact, names) for item, fact in zip(items, facts, strict=True)]
    labels = [row.label for row in rows if row.split == "test"]
    masked = [bool(row.mask) for row in rows if row.label]
    size = entry.size if entry else _median_size(rows)
    return Manifest(
        dataset=key,
        kind=params.kind,
        domain=params.domain or (entry.domain if entry else NO_DOMAIN),
        root=root,
        has_image_labels=set(labels) == {0, 1},
        has_pixel_labels=bool(masked) and all(masked),
        size=size,
        mask_rule=MASK_RULE,
        hash=content_hash([[asdict(row) for row in rows], [fact.mask_hash for fact in facts], size, MASK_RULE]),
        counts=counts,
        notes=(*notes, *_unknown_class_notes(params, counts), *_duplicate_notes(rows), *_rotation_notes(items, facts)),
        rows=tuple(rows),
    )


@dataclass(frozen=True)
class _Fact:
    width: int
    height: int
    pixel_hash: str
    mask_hash: str
    rotated: bool


def _files(key: str, raw: Path) -> tuple[Path, list[str]]:
    """Where the pictures lie, and their names: for a folder set those that were there when it was fetched."""
    if not raw.is_dir():
        raise UserError(f"{raw}: not fetched yet; run `dvc repro fetch@{key}`")
    if not (raw / INVENTORY).is_file():
        return raw, list_images(raw)
    inventory = read_json(raw / INVENTORY)
    root, files = Path(inventory["path"]), [name for name, _ in inventory["files"]]
    gone = [name for name in files if not (root / name).is_file()]
    if gone:
        raise UserError(f"{root}: gone since it was fetched: {listed(gone)}; run `dvc repro -f fetch@{key}`")
    return root, files


def _inspect_all(root: Path, items: Sequence[Item]) -> list[_Fact]:
    facts = _in_threads(lambda item: _inspect(root, item), items)
    problems = [str(fact) for fact in facts if isinstance(fact, UserError)]
    if problems:
        more = [f"… and {len(problems) - 5 * SHOWN} more"] if len(problems) > 5 * SHOWN else []
        raise UserError("\n".join([*problems[: 5 * SHOWN], *more]))
    return [fact for fact in facts if isinstance(fact, _Fact)]


def _inspect(root: Path, item: Item) -> _Fact | UserError:
    try:
        pixels = read_image(root / item.path)
        height, width = pixels.shape[:2]
        mask_hash = _mask_hash(root / item.mask, (width, height)) if item.mask else ""
        return _Fact(width, height, _array_hash(pixels), mask_hash, is_rotated_by_exif(root / item.path))
    except UserError as error:
        return error


def _mask_hash(path: Path, size: tuple[int, int]) -> str:
    mask = read_mask(path, size, MASK_RULE)
    if not mask.any():
        raise UserError(f"{path}: mask of an anomalous picture is empty; mark the anomaly or move the picture to good")
    return _array_hash(mask.astype(np.uint8))


def _array_hash(array: np.ndarray) -> str:
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _in_threads(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Decoding releases the interpreter lock, so threads use all cores; only small results are kept."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(work, items))


def _row(item: Item, fact: _Fact, names: Mapping[str, str]) -> Row:
    name = names.get(item.category, item.category.replace("_", " "))
    return Row(
        path=item.path,
        category=item.category,
        prompt_name=name,
        label=item.label,
        mask=item.mask,
        split=item.split,
        defect_type=item.defect_type,
        width=fact.width,
        height=fact.height,
        pixel_hash=fact.pixel_hash,
    )


def _counts(items: Sequence[Item]) -> dict[str, dict[str, int]]:
    counts = {item.category: {"train": 0, "normal": 0, "anomalous": 0} for item in items}
    for item in items:
        group = "train" if item.split == "train" else ("normal", "anomalous")[item.label]
        counts[item.category][group] += 1
    return dict(sorted(counts.items()))


def _check_counts(key: str, counts: Mapping[str, Mapping[str, int]], entry: Entry) -> None:
    for category, expected in entry.expected.items():
        found = tuple(counts.get(category, {}).get(group, 0) for group in ("train", "normal", "anomalous"))
        if found != expected:
            raise UserError(
                f"{key}/{category}: has {found} (train, normal, anomalous) pictures, expected {expected}; "
                f"run `dvc repro -f fetch@{key}`"
            )


def _median_size(rows: Sequence[Row]) -> tuple[int, int]:
    test = [row for row in rows if row.split == "test"]
    return median_low(row.width for row in test), median_low(row.height for row in test)


def _unknown_class_notes(params: DatasetParams, counts: Mapping[str, object]) -> list[str]:
    unknown = sorted(set(params.classes) - set(counts))
    return [f"classes names categories that the set does not have: {listed(unknown)}"] if unknown else []


def _duplicate_notes(rows: Sequence[Row]) -> list[str]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.pixel_hash].append(row)
    repeated = [group for group in groups.values() if len(group) > 1]
    return [_duplicate_note(group) for group in repeated]


def _duplicate_note(group: Sequence[Row]) -> str:
    crossing = [name for name in ("split", "label") if len({getattr(row, name) for row in group}) > 1]
    across = f", across {' and '.join(crossing)}" if crossing else ""
    return f"the same picture{across}: {listed([row.path for row in group])}"


def _rotation_notes(items: Sequence[Item], facts: Sequence[_Fact]) -> list[str]:
    rotated = [item.path for item, fact in zip(items, facts, strict=True) if fact.rotated]
    return [f"EXIF rotation is not applied: {listed(rotated)}"] if rotated else []
