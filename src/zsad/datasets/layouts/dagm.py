"""DAGM 2007: a picture is anomalous if there is a label picture for it; a list beside the label pictures must agree."""

from typing import Literal

from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading, stem_of

DEFECT = "anomaly"
LIST = "Labels.txt"


class Dagm(Options):
    """parts: which of Train and Test make up the test split. normals `match`: the first ones, as many as anomalous.

    Normal pictures of a part that is not in `parts` are training pictures.
    """

    parts: list[Literal["Train", "Test"]]
    normals: Literal["all", "match"]


def _read(files: Files, options: Dagm) -> Reading:
    items: list[Item] = []
    problems: list[str] = []
    grouped = _by_part(files)
    for (category, part), names in grouped.items():
        folder = f"{category}/{part}"
        pictures = sorted(name for name in names if name.count("/") == 2)
        masks = {stem_of(n).removesuffix("_label"): n for n in names if n.startswith(f"{folder}/Label/")}
        problems += [f"no picture for mask {masks[s]}" for s in sorted(masks.keys() - {stem_of(p) for p in pictures})]
        problems += _disagreements(files, folder, set(masks))
        items += _items(category, part, pictures, masks, options)
    files.fail(problems)
    return items, []


def _by_part(files: Files) -> dict[tuple[str, str], list[str]]:
    groups: dict[tuple[str, str], list[str]] = {}
    for name in files.pictures:
        category, part = (*name.split("/"), "")[:2]
        if category.startswith("Class") and part in ("Train", "Test"):
            groups.setdefault((category, part), []).append(name)
    return groups


def _items(category: str, part: str, pictures: list[str], masks: dict[str, str], options: Dagm) -> list[Item]:
    anomalous = [
        Item(name, category, "test", 1, DEFECT, masks[stem_of(name)]) for name in pictures if stem_of(name) in masks
    ]
    normal = [name for name in pictures if stem_of(name) not in masks]
    if part not in options.parts:
        return [Item(name, category, "train", 0, NORMAL, "") for name in normal]
    kept = normal if options.normals == "all" else normal[: len(anomalous)]
    return [*anomalous, *(Item(name, category, "test", 0, NORMAL, "") for name in kept)]


def _disagreements(files: Files, folder: str, masked: set[str]) -> list[str]:
    """Pictures that the list (a line `1`, then number, flag, picture, 0, label picture) flags otherwise."""
    name = f"{folder}/Label/{LIST}"
    if name not in files.known:
        return []
    rows = [line.split() for line in files.text(name).splitlines()[1:] if line.strip()]
    if any(len(row) < 3 for row in rows):
        return [f"{name}: expected number, flag, picture, 0, label picture in each line after the first"]
    flagged = {stem_of(row[2]) for row in rows if row[1] == "1"}
    return [
        f"{name}: {folder}/{stem} is {'anomalous' if stem in flagged else 'normal'}, {folder}/Label/{stem}_label.PNG "
        f"{'is missing' if stem in flagged else 'exists'}"
        for stem in sorted(flagged ^ masked)
    ]


DAGM = Layout(Dagm, lambda options: [f"Class*/{part}/*" for part in options.parts], _read)
