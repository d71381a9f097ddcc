"""Segmentation sets: a folder of anomalous pictures and one of their masks, which share their names."""

from pydantic import Field

from zsad.datasets.layouts.base import Files, Item, Layout, Options, Reading, pair_by_stem

DEFECT = "anomaly"


class ImageMaskPairs(Options):
    """Names of both folders and what masks add to a picture's name; `folders`: category → folder that holds both.

    extension: of pictures and masks, where that tells two copies of a set apart; empty: any.
    """

    image_dir: str
    mask_dir: str
    mask_suffix: str = ""
    extension: str = ""
    folders: dict[str, str] = Field(default_factory=dict)


def _folders(options: ImageMaskPairs) -> dict[str, str]:
    """category → prefix of its two folders."""
    return {name: f"{folder}/" for name, folder in options.folders.items()} or {"": ""}


def _signature(options: ImageMaskPairs) -> list[str]:
    inner = (options.image_dir, options.mask_dir)
    return [f"{prefix}{folder}/**{options.extension}" for prefix in _folders(options).values() for folder in inner]


def _read(files: Files, options: ImageMaskPairs) -> Reading:
    items, problems = [], []
    for category, prefix in _folders(options).items():
        pictures = [name for name in files.pictures if name.startswith(f"{prefix}{options.image_dir}/")]
        masks = [name for name in files.pictures if name.startswith(f"{prefix}{options.mask_dir}/")]
        pairs, found = pair_by_stem(pictures, masks, options.mask_suffix)
        problems += found
        items += [Item(picture, category, "test", 1, DEFECT, mask) for picture, mask in pairs.items()]
    files.fail(problems)
    return items, []


IMAGE_MASK_PAIRS = Layout(ImageMaskPairs, _signature, _read)
