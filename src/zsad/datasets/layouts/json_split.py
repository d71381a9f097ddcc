"""Real-IAD: a JSON file per category lists the pictures of both splits."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading, stem_of
from zsad.errors import UserError

SPLITS = ("train", "test")
OK = "OK"


class JsonSplit(Options):
    """json_dir: folder of <category>.json; image_dir: folder of the categories' folders.

    views: cameras (C1 … C5) whose pictures count; empty: all.
    """

    json_dir: str
    image_dir: str
    views: list[str] = Field(default_factory=list)


def _read(files: Files, options: JsonSplit) -> Reading:
    items, problems = [], []
    for name in files.names:
        if not name.startswith(f"{options.json_dir}/") or not name.endswith(".json"):
            continue
        folder = f"{options.image_dir}/{stem_of(name)}/"
        for split, record in _records(files, name):
            item = _item(stem_of(name), folder, split, record)
            missing = [path for path in (item.path, item.mask) if path and path not in files.known]
            if options.views and not any(f"_{view}_" in item.path for view in options.views):
                continue
            problems += [f"{name}: no such file: {path}" for path in missing]
            if split == "test" or not item.label:
                items.append(item)
    files.fail(problems)
    return items, []


def _records(files: Files, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        lists = json.loads(files.text(name))
        for split in SPLITS:
            for record in lists[split]:
                yield split, {key: record[key] for key in ("image_path", "mask_path", "anomaly_class")}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{files.root / name}: not a split ({error!r}); expected {{train, test}} → [{{image_path, mask_path, "
            "anomaly_class}]"
        ) from error


def _item(category: str, folder: str, split: str, record: Mapping[str, Any]) -> Item:
    label = int(record["anomaly_class"] != OK)
    mask = folder + record["mask_path"] if label and record["mask_path"] else ""
    defect = record["anomaly_class"] if label else NORMAL
    return Item(folder + record["image_path"], category, split, label, defect, mask)


JSON_SPLIT = Layout(JsonSplit, lambda options: [f"{options.json_dir}/*.json", f"{options.image_dir}/**"], _read)
