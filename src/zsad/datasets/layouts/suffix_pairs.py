"""KolektorSDD2: a mask beside every picture, black where there is no defect."""

from pathlib import PurePosixPath

from pydantic import Field

from zsad.datasets.layouts.base import NORMAL, Files, Item, Layout, Options, Reading, listed, pair_by_stem, stem_of

DEFECT = "anomaly"


class SuffixPairs(Options):
    """suffix: what masks add to a picture's name. skip: files whose name contains this are left out."""

    suffix: str = Field(min_length=1)
    skip: str = Field(min_length=1)


def _read(files: Files, options: SuffixPairs) -> Reading:
    items, problems = [], []
    for split in ("train", "test"):
        inside = [name for name in files.pictures if name.startswith(f"{split}/") and options.skip not in name]
        masks = [name for name in inside if stem_of(name).endswith(options.suffix)]
        pairs, found = pair_by_stem(set(inside) - set(masks), masks, options.suffix)
        problems += found
        items += [_item(files, name, mask, split) for name, mask in pairs.items()]
    files.fail(problems)
    skipped = [PurePosixPath(name).name for name in files.pictures if options.skip in name]
    notes = [f"left out: {listed(skipped)}"] if skipped else []
    return [item for item in items if item.split == "test" or item.label == 0], notes


def _item(files: Files, name: str, mask: str, split: str) -> Item:
    defective = files.shows(mask)
    return Item(name, "", split, int(defective), DEFECT if defective else NORMAL, mask if defective else "")


SUFFIX_PAIRS = Layout(SuffixPairs, lambda options: ["train/*", f"test/*{options.suffix}.*"], _read)
