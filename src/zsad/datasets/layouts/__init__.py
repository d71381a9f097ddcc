"""Layouts: from the names of the files of a dataset to its pictures, labels and masks. A file each."""

from collections.abc import Mapping
from typing import Any

from zsad.datasets.layouts.base import Files, Item, Layout, fail, listed
from zsad.datasets.layouts.class_folders import CLASS_FOLDERS, CLASS_FOLDERS_PAIRS
from zsad.datasets.layouts.crops import CUT, CUTTERS
from zsad.datasets.layouts.csv_labels import CSV_LABELS
from zsad.datasets.layouts.dagm import DAGM
from zsad.datasets.layouts.image_mask_pairs import IMAGE_MASK_PAIRS
from zsad.datasets.layouts.json_split import JSON_SPLIT
from zsad.datasets.layouts.meta_json import META_JSON
from zsad.datasets.layouts.mvtec import MVTEC_LIKE, mvtec_layout
from zsad.datasets.layouts.suffix_pairs import SUFFIX_PAIRS
from zsad.datasets.layouts.visa_csv import VISA_CSV

__all__ = ["CUTTERS", "LAYOUTS", "Files", "Item", "Layout", "fail", "listed", "mvtec_layout"]

LAYOUTS: Mapping[str, Layout[Any]] = {
    "class_folders": CLASS_FOLDERS,
    "class_folders_pairs": CLASS_FOLDERS_PAIRS,
    "csv_labels": CSV_LABELS,
    "dagm": DAGM,
    "image_mask_pairs": IMAGE_MASK_PAIRS,
    "json_split": JSON_SPLIT,
    "meta_json": META_JSON,
    "mvtec_like": MVTEC_LIKE,
    "suffix_pairs": SUFFIX_PAIRS,
    "visa_csv": VISA_CSV,
    **dict.fromkeys(CUTTERS, CUT),
}
