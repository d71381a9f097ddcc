"""Folders prepared for AnomalyCLIP, FAPrompt, CoPS, AdaCLIP or Bayes-PFL, which carry their own inventory."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading, suffix_of
from zsad.errors import UserError


class MetaJson(Options):
    """file: {train, test} → {class: [{img_path, mask_path, cls_name, specie_name, anomaly}]}.

    Paths may be those of another machine: the longest end of them that exists here counts.
    """

    file: str = "meta.json"


def _read(files: Files, options: MetaJson) -> Reading:
    items, problems = [], []
    for split, record in _records(files, options.file):
        picture = _here(files, record["img_path"])
        mask = "" if options.image_only or not suffix_of(record["mask_path"]) else record["mask_path"]
        found = _here(files, mask) if mask else ""
        label = int(record["anomaly"])
        if not picture:
            problems.append(f"{options.file}: no such picture: {record['img_path']}")
        elif label and mask and not found:
            problems.append(f"{options.file}: no such mask: {mask} of {picture}")
        elif split == "test" or not label:
            defect = record["specie_name"] or "anomaly"
            items.append(Item(picture, record["cls_name"], split, label, defect if label else NORMAL, found * label))
    files.fail(problems)
    return items, []


def _records(files: Files, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(train or test, one picture's record) in the order of the file; DAGM's writes the splits with capitals."""
    try:
        for split, classes in json.loads(files.text(name)).items():
            for records in classes.values():
                for record in records:
                    blank = {"mask_path": "", "specie_name": ""}
                    yield (
                        split.lower(),
                        blank | {key: record[key] for key in ("img_path", "cls_name", "anomaly")} | _texts(record),
                    )
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{files.root / name}: not an inventory of pictures ({error!r}); expected {{train, test}} → {{class: "
            "[{img_path, mask_path, cls_name, specie_name, anomaly}]}"
        ) from error


def _texts(record: Mapping[str, Any]) -> dict[str, str]:
    return {key: record[key] for key in ("mask_path", "specie_name") if record.get(key)}


def _here(files: Files, path: str) -> str:
    """The longest end of `path` that is a file of the set, or nothing."""
    parts = PurePosixPath(path).parts
    ends = (str(PurePosixPath(*parts[start:])) for start in range(len(parts)))
    return next((end for end in ends if end in files.known), "")


META_JSON = Layout(MetaJson, lambda options: [options.file], _read)
