"""Folders prepared for AnomalyCLIP, FAPrompt, CoPS, AdaCLIP or Bayes-PFL, which carry their own inventory."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic import BaseModel, Field

from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading, suffix_of

SPLITS = ("train", "test")
EXPECTED = "an inventory {train, test} → {class: [{img_path, mask_path, cls_name, specie_name, anomaly: 0 or 1}]}"


class MetaJson(Options):
    """file: {train, test} → {class: [{img_path, mask_path, cls_name, specie_name, anomaly}]}.

    Paths may be those of another machine: the longest end of them that exists here counts.
    """

    file: str = "meta.json"


class _Record(BaseModel):
    """One picture; an empty `img_path` stands for a class without pictures in that split."""

    img_path: str
    mask_path: str | None = None
    cls_name: str
    specie_name: str | None = None
    anomaly: int = Field(ge=0, le=1)


def _read(files: Files, options: MetaJson) -> Reading:
    items, problems = [], []
    for split, record in _records(files, options.file):
        picture = _here(files, record.img_path)
        mask = "" if options.image_only or not suffix_of(record.mask_path or "") else str(record.mask_path)
        found = _here(files, mask) if mask else ""
        if split not in SPLITS:
            problems.append(f"{options.file}: {split!r} is neither train nor test")
        elif not picture:
            problems.append(f"{options.file}: no such picture: {record.img_path}")
        elif record.anomaly and mask and not found:
            problems.append(f"{options.file}: no such mask: {mask} of {picture}")
        elif split == "test" or not record.anomaly:
            defect = (record.specie_name or "anomaly") if record.anomaly else NORMAL
            items.append(Item(picture, record.cls_name, split, record.anomaly, defect, found * record.anomaly))
    files.fail(problems)
    return items, []


def _records(files: Files, name: str) -> Iterator[tuple[str, _Record]]:
    """(train or test, one picture's record) in the order of the file; DAGM's writes the splits with capitals."""
    for split, classes in files.json(name, dict[str, dict[str, list[_Record]]], EXPECTED).items():
        yield from ((split.lower(), record) for records in classes.values() for record in records if record.img_path)


def _here(files: Files, path: str) -> str:
    """The longest end of `path` that is a file of the set, or nothing."""
    parts = PurePosixPath(path).parts
    ends = (str(PurePosixPath(*parts[start:])) for start in range(len(parts)))
    return next((end for end in ends if end in files.known), "")


META_JSON = Layout(MetaJson, lambda options: [options.file], _read)
