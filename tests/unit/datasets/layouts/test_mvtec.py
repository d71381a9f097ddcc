"""The layout of MVTec AD, from file names alone."""

import pytest

from zsad.common.errors import UserError
from zsad.datasets.layouts import mvtec_layout

WHOLE = [
    "nut/train/good/000.png",
    "nut/test/good/000.PNG",
    "nut/test/crack/001.jpg",
    "nut/test/crack/002.jpg",
    "nut/ground_truth/crack/001_mask.png",
    "nut/ground_truth/crack/002.bmp",
]


def test_labels_splits_and_masks() -> None:
    items, notes = mvtec_layout(reversed(WHOLE), "set")
    assert [item.path for item in items] == sorted(item.path for item in items)
    by_path = {item.path: item for item in items}
    assert by_path["nut/test/crack/001.jpg"].mask == "nut/ground_truth/crack/001_mask.png"
    assert by_path["nut/test/crack/002.jpg"].mask == "nut/ground_truth/crack/002.bmp"
    assert by_path["nut/test/crack/001.jpg"].defect_type == "crack"
    assert [(item.split, item.label) for item in items] == [("test", 1), ("test", 1), ("test", 0), ("train", 0)]
    assert notes == []


def test_only_test_is_needed() -> None:
    items, notes = mvtec_layout(["skin/test/nevus/a.jpg"], "set")
    assert [(item.label, item.mask) for item in items] == [(1, "")]
    assert notes == [
        "skin: no normal test picture; image metrics are undefined",
        "skin: no masks; pixel metrics are undefined",
    ]


def test_category_of_normal_or_training_pictures_only_is_noted() -> None:
    _, notes = mvtec_layout([*WHOLE, "bolt/train/good/1.png", "cap/test/good/1.png"], "set")
    assert "bolt: no test picture" in notes
    assert "cap: no anomalous test picture; all metrics are undefined" in notes


def test_masks_are_matched_by_stem_not_position() -> None:
    files = [path for path in WHOLE if path != "nut/ground_truth/crack/001_mask.png"]
    with pytest.raises(UserError, match=r"set: no mask for nut/test/crack/001\.jpg .*crack/001_mask"):
        mvtec_layout(files, "set")


def test_orphan_masks_are_named() -> None:
    with pytest.raises(UserError, match=r"set: no picture for mask nut/ground_truth/crack/009_mask\.png"):
        mvtec_layout([*WHOLE, "nut/ground_truth/crack/009_mask.png"], "set")


def test_two_pictures_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match=r"more than one file of the same name: .*001\.jpg, nut/test/crack/001\.png"):
        mvtec_layout([*WHOLE, "nut/test/crack/001.png"], "set")


def test_one_category_may_lack_masks() -> None:
    items, notes = mvtec_layout([*WHOLE, "cap/test/good/1.png", "cap/test/bent/1.png"], "set")
    assert next(item for item in items if item.path == "cap/test/bent/1.png").mask == ""
    assert notes == ["cap: no masks; pixel metrics are undefined"]


def test_folders_below_a_defect_are_kept_apart() -> None:
    files = ["a/test/x/1/p.png", "a/test/x/2/p.png", "a/ground_truth/x/1/p_mask.png", "a/ground_truth/x/2/p.png"]
    items, _ = mvtec_layout(files, "set")
    assert [item.mask for item in items] == ["a/ground_truth/x/1/p_mask.png", "a/ground_truth/x/2/p.png"]


def test_strays_are_noted_and_black_masks_of_normals_ignored() -> None:
    strays = ["nut/preview.png", "nut/val/good/1.png", "nut/train/bad/1.png", "nut/ground_truth/good/000_mask.png"]
    items, notes = mvtec_layout([*WHOLE, *strays], "set")
    assert len(items) == 4
    assert notes[0].startswith("4 pictures outside of train/good")


def test_a_single_category_is_recognised() -> None:
    with pytest.raises(UserError, match="single category: give the folder above"):
        mvtec_layout(["test/good/1.png", "test/bad/2.png"], "nut")


def test_unknown_layout_says_what_is_expected() -> None:
    with pytest.raises(UserError, match="photos: no picture below <category>/test/<good or defect>/"):
        mvtec_layout(["a.png", "b/c.png"], "photos")
