"""`zsad index`: decode every picture once, check it, and build the manifest."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median_low

from zsad.common.errors import UserError
from zsad.common.io import content_hash, read_json
from zsad.config.schema import DatasetParams
from zsad.datasets.demo import DemoSet, demo_set
from zsad.datasets.fetch import INVENTORY, list_images
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.datasets.integrity import Fact, inspect_all, note, oddities
from zsad.datasets.layouts import Files, Item, listed, mvtec_layout
from zsad.datasets.layouts.base import stem_of
from zsad.datasets.manifest import MANIFESTS, Manifest, Row, write_manifest
from zsad.datasets.official import READ_SUFFIXES, official_entry, read_official
from zsad.datasets.places import RAW
from zsad.datasets.transport.access import access_named

MASK_RULE = "gt127"
NO_DOMAIN = "other"


@access_named()
def index(key: str, params: DatasetParams, raw: Path | None = None, base: Path = MANIFESTS) -> Manifest:
    """Build the manifest of `key` from its raw data (default data/raw/<key>) and write it to `base/<key>`."""
    manifest = build_manifest(key, params, raw or RAW / key)
    write_manifest(manifest, base)
    return manifest


def build_manifest(key: str, params: DatasetParams, raw: Path) -> Manifest:
    """The manifest of the set fetched to `raw`. All unreadable or unfit files are listed in one UserError."""
    root, files = _files(key, params, raw)
    read = _READERS[params.kind](key, params, root, files)
    check_categories(key, read.items)
    facts = inspect_all(root, read.items, read.mask_rule)
    names = {**read.names, **params.classes}
    rows = [_row(item, fact, names) for item, fact in zip(read.items, facts, strict=True)]
    counts = _counts(read.items)
    labels = [row.label for row in rows if row.split == "test"]
    size = read.size or _median_size(rows)
    return Manifest(
        dataset=key,
        kind=params.kind,
        domain=params.domain or read.domain,
        root=root,
        has_image_labels=set(labels) == {0, 1},
        has_pixel_labels=_has_pixel_labels(rows, read.unusable_masks),
        size=size,
        mask_rule=read.mask_rule,
        hash=content_hash([[asdict(row) for row in rows], [fact.mask_hash for fact in facts], size, read.mask_rule]),
        counts=counts,
        notes=(
            *read.notes,
            *_unknown_class_notes(params, counts),
            *_unusable_mask_notes(rows, read.unusable_masks),
            *oddities(root, files, rows, facts, read.mask_rule),
        ),
        rows=tuple(rows),
        source=params.source,
    )


def check_categories(key: str, items: Collection[Item]) -> None:
    """A model of a category is stored under its name."""
    if unfit := sorted({item.category for item in items if "/" in item.category}):
        raise UserError(f"{key}: category {unfit[0]!r}: a name may not hold `/`; rename it where the set names it")


@dataclass(frozen=True)
class _Read:
    """A set as its files' names and its entry say; `size` is None where nothing declares it."""

    items: list[Item]
    notes: list[str]
    domain: str = NO_DOMAIN
    names: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    mask_rule: str = MASK_RULE
    unusable_masks: Collection[str] = ()


def _read_folder(key: str, params: DatasetParams, root: Path, files: list[str]) -> _Read:
    return _Read(*mvtec_layout(files, str(root)))


def _read_demo(key: str, params: DatasetParams, root: Path, files: list[str]) -> _Read:
    items, notes = mvtec_layout(files, str(root))
    entry = demo_set(key)
    _check_counts(key, _counts(items), entry)
    return _Read(items, notes, entry.domain, entry.categories, (entry.size[0], entry.size[1]))


def _read_official(key: str, params: DatasetParams, root: Path, files: list[str]) -> _Read:
    _, entry = official_entry(key, params)
    items, notes = read_official(entry, Files(root, tuple(files)))
    unusable = entry.unusable_masks
    return _Read(items, notes, entry.domain, entry.categories, None, entry.mask_threshold, unusable)


_READERS = {"demo": _read_demo, "folder": _read_folder, "official": _read_official}


def _files(key: str, params: DatasetParams, raw: Path) -> tuple[Path, list[str]]:
    """Where the pictures lie, and their names: for a folder set those that were there when it was fetched."""
    if not raw.is_dir():
        raise UserError(f"{raw}: not fetched yet; run `dvc repro fetch@{key}`")
    if not (raw / INVENTORY).is_file():
        return raw, list_images(raw, READ_SUFFIXES if params.kind == "official" else IMAGE_SUFFIXES)
    inventory = read_json(raw / INVENTORY)
    root, files = Path(inventory["path"]), [name for name, _ in inventory["files"]]
    gone = [name for name in files if not (root / name).is_file()]
    if gone:
        raise UserError(f"{root}: gone since it was fetched: {listed(gone)}; run `dvc repro -f fetch@{key}`")
    return root, files


def _row(item: Item, fact: Fact, names: Mapping[str, str]) -> Row:
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


def _check_counts(key: str, counts: Mapping[str, Mapping[str, int]], entry: DemoSet) -> None:
    for category in entry.categories:
        found = tuple(counts.get(category, {}).get(group, 0) for group in ("train", "normal", "anomalous"))
        if found != (expected := tuple(entry.expected)):
            raise UserError(
                f"{key}/{category}: has {found} (train, normal, anomalous) pictures, expected {expected}; "
                f"run `dvc repro -f fetch@{key}`"
            )


def _median_size(rows: Sequence[Row]) -> tuple[int, int]:
    test = [row for row in rows if row.split == "test"]
    return median_low(row.width for row in test), median_low(row.height for row in test)


def _has_pixel_labels(rows: Sequence[Row], unusable: Collection[str]) -> bool:
    """Whether all anomalous pictures have a mask, apart from those whose mask the entry calls unusable."""
    masked = [bool(row.mask) for row in rows if row.label and stem_of(row.path) not in unusable]
    return bool(masked) and all(masked)


def _unusable_mask_notes(rows: Sequence[Row], unusable: Collection[str]) -> Iterator[str]:
    if _has_pixel_labels(rows, unusable):
        without = [row.path for row in rows if not row.has_truth]
        yield from note("no usable mask: left out of pixel metrics and of training", without)


def _unknown_class_notes(params: DatasetParams, counts: Mapping[str, object]) -> list[str]:
    unknown = sorted(set(params.classes) - set(counts))
    return [f"classes names categories that the set does not have: {listed(unknown)}"] if unknown else []
