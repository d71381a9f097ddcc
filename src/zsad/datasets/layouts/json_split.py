"""Real-IAD: a JSON file per category lists the pictures of both splits."""

from pydantic import BaseModel, Field

from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading, stem_of

OK = "OK"
EXPECTED = "a split {train, test} → [{image_path, mask_path, anomaly_class}]"


class JsonSplit(Options):
    """json_dir: folder of <category>.json; image_dir: folder of the categories' folders.

    views: cameras (C1 … C5) whose pictures count; empty: all.
    """

    json_dir: str
    image_dir: str
    views: list[str] = Field(default_factory=list)


class _Record(BaseModel):
    image_path: str
    mask_path: str | None
    anomaly_class: str


class _Lists(BaseModel):
    train: list[_Record]
    test: list[_Record]


def _read(files: Files, options: JsonSplit) -> Reading:
    items, problems = [], []
    for name in files.names:
        if not name.startswith(f"{options.json_dir}/") or not name.endswith(".json"):
            continue
        lists: _Lists = files.json(name, _Lists, EXPECTED)
        for split, record in [*(("train", r) for r in lists.train), *(("test", r) for r in lists.test)]:
            item = _item(stem_of(name), f"{options.image_dir}/{stem_of(name)}/", split, record)
            if options.views and not any(f"_{view}_" in item.path for view in options.views):
                continue
            missing = [path for path in (item.path, item.mask) if path and path not in files.known]
            problems += [f"{name}: no such file: {path}" for path in missing]
            if split == "test" or not item.label:
                items.append(item)
    files.fail(problems)
    return items, []


def _item(category: str, folder: str, split: str, record: _Record) -> Item:
    label = int(record.anomaly_class != OK)
    mask = folder + record.mask_path if label and record.mask_path else ""
    defect = record.anomaly_class if label else NORMAL
    return Item(folder + record.image_path, category, split, label, defect, mask)


JSON_SPLIT = Layout(JsonSplit, lambda options: [f"{options.json_dir}/*.json", f"{options.image_dir}/**"], _read)
