"""VisA: pictures in the folders of their objects, and a table that says which of them is what."""

import csv

from zsad.common.errors import UserError
from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading

COLUMNS = ("object", "split", "label", "image", "mask")
LABELS = {"normal": 0, "anomaly": 1}


class VisaCsv(Options):
    """`file`: the table, with columns object, split, label, image, mask; paths are relative to the set's begin."""

    file: str


def _read(files: Files, options: VisaCsv) -> Reading:
    rows = csv.DictReader(files.text(options.file).splitlines())
    if missing := [name for name in COLUMNS if name not in (rows.fieldnames or [])]:
        raise UserError(
            f"{files.root / options.file}: no column {', '.join(missing)}; it has {', '.join(rows.fieldnames or [])}"
        )
    items, problems = [], []
    for line, row in enumerate(rows, start=2):
        if problem := _problem(files, row, options.image_only):
            problems.append(f"{options.file}, line {line}: {problem}")
        else:
            items.append(_item(row))
    files.fail(problems)
    used = {name for item in items for name in (item.path, item.mask)}
    unlisted = [name for name in files.pictures if name not in used]
    notes = [f"{len(unlisted)} pictures that {options.file} does not list are left out"] if unlisted else []
    return [item for item in items if item.split == "test" or item.label == 0], notes


def _problem(files: Files, row: dict[str, str], image_only: bool) -> str:
    if row["label"] not in LABELS or row["split"] not in ("train", "test"):
        return f"split {row['split']!r} or label {row['label']!r} is none of train, test; normal, anomaly"
    if row["image"] not in files.known:
        return f"no such picture: {row['image']}"
    if image_only:
        return ""
    if bool(row["mask"]) != bool(LABELS[row["label"]]):
        return f"{row['image']} is {row['label']}, its mask is {row['mask'] or 'missing'}"
    if row["mask"] and row["mask"] not in files.known:
        return f"no such mask: {row['mask']} of {row['image']}"
    return ""


def _item(row: dict[str, str]) -> Item:
    label = LABELS[row["label"]]
    return Item(row["image"], row["object"], row["split"], label, row["label"] if label else NORMAL, row["mask"] or "")


VISA_CSV = Layout(VisaCsv, lambda options: [options.file], _read)
