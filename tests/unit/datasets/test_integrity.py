"""Oddities that indexing notes: repeated pictures, masks that mark everything or a normal picture."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.helpers.official_cases import Drawn
from tests.helpers.official_layouts import Tree
from zsad.config.params import load_params
from zsad.config.schema import DatasetParams
from zsad.datasets.describe import report
from zsad.datasets.fetch import fetch
from zsad.datasets.index import build_manifest
from zsad.datasets.manifest import Manifest

MTD = "Magnetic-tile-defect-datasets.-cc4eb530"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A folder set of two normal and two anomalous pictures with masks."""
    made = Tree(tmp_path / "photos")
    made.picture(*(f"nut/test/{kind}/{i}.png" for kind in ("good", "bent") for i in range(2)))
    made.mask(*(f"nut/ground_truth/bent/{i}_mask.png" for i in range(2)))
    return made


def manifest_of(tree: Tree) -> Manifest:
    params = DatasetParams(path=str(tree.root))
    fetch("photos", params, tree.root.parent / "raw")
    return build_manifest("photos", params, tree.root.parent / "raw")


def copy(tree: Tree, name: str, *others: str) -> None:
    for other in others:
        path = tree.root / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tree.root / name).read_bytes())


def test_nothing_odd(tree: Tree) -> None:
    assert manifest_of(tree).notes == ()


def test_each_kind_of_repetition_has_its_note(tree: Tree) -> None:
    copy(tree, "nut/test/good/0.png", "nut/test/good/0b.png", "nut/test/good/0c.png")
    copy(tree, "nut/test/good/1.png", "nut/train/good/1.png")
    copy(tree, "nut/test/bent/0.png", "nut/test/good/9.png")
    assert manifest_of(tree).notes == (
        "the same picture (1): nut/test/good/0.png = nut/test/good/0b.png = nut/test/good/0c.png",
        "the same picture across label (1): nut/test/bent/0.png = nut/test/good/9.png",
        "the same picture across split (1): nut/test/good/1.png = nut/train/good/1.png",
    )


def test_many_repetitions_are_counted(tree: Tree) -> None:
    for number in range(12):
        tree.picture(name := f"nut/test/good/a{number:02d}.png")
        copy(tree, name, name.replace("/a", "/b"))
    (note,) = manifest_of(tree).notes
    assert note.startswith("the same picture (12): nut/test/good/a00.png = nut/test/good/b00.png; ")
    assert note.endswith("b09.png; and 2 more")


def test_mask_that_marks_everything_is_noted(tree: Tree) -> None:
    tree.mask("nut/ground_truth/bent/1_mask.png", box=(0, 0, 12, 10))
    assert manifest_of(tree).notes == ("the mask marks every pixel (1): nut/ground_truth/bent/1_mask.png",)


def test_masks_of_normal_pictures_are_noted_unless_black(tree: Tree) -> None:
    before = manifest_of(tree)
    tree.mask("nut/ground_truth/good/0_mask.png", value=0)
    tree.mask("nut/ground_truth/good/1.png", size=(5, 5))
    (tree.root / "nut/ground_truth/good/9_mask.png").write_text("of no picture")
    left_out, marked = manifest_of(tree).notes
    assert left_out.startswith("3 pictures outside of ")
    assert marked == "mask of a normal picture marks something; it is not used (1): nut/ground_truth/good/1.png"
    (tree.root / "nut/ground_truth/good/0_mask.png").write_text("no picture")
    after = manifest_of(tree)
    assert after.notes[-1] == (
        "mask of a normal picture cannot be read; it is not used (1): nut/ground_truth/good/0_mask.png"
    )
    assert (after.hash, after.rows) == (before.hash, before.rows)


def test_pictures_beside_each_other_are_no_masks_where_there_are_none(tmp_path: Path) -> None:
    made = Tree(tmp_path / "photos")
    made.picture("nut/test/good/0.png", "nut/test/bent/1.png", "nut/ground_truth/good/0.png")
    assert not any("mask of a normal" in note for note in manifest_of(made).notes)


@pytest.fixture
def tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """MTD with one mask that is black and that its entry declares, and a normal picture whose mask marks something."""
    archive = Drawn("mtd", tmp_path, monkeypatch)
    archive.tree.mask(f"{MTD}/MT_Uneven/Imgs/exp1_num_Uneven_1.png", value=0)
    archive.change(unusable_masks=["exp1_num_Uneven_1"])
    return archive


def test_unusable_masks_leave_the_set_its_pixel_labels(tiles: Drawn) -> None:
    manifest = tiles.manifest()
    assert manifest.has_pixel_labels
    assert len(manifest.test) == 12
    bare = f"{MTD}/MT_Uneven/Imgs/exp1_num_Uneven_1.jpg"
    assert {row.path for row in manifest.test} - {row.path for row in manifest.trainable} == {bare}
    assert f"no usable mask: left out of pixel metrics and of training (1): {bare}" in manifest.notes
    tiles.tree.mask(f"{MTD}/MT_Free/Imgs/exp1_num_Free_2.png")
    marked = f"mask of a normal picture marks something; it is not used (1): {MTD}/MT_Free/Imgs/exp1_num_Free_2.png"
    assert tiles.manifest().notes[-1] == marked


def test_report_compares_counts(tiles: Drawn) -> None:
    params = load_params(ROOT / "params.yaml")
    params = params.model_copy(update={"datasets": {"mtd": DatasetParams(kind="official", path="x")}, "sources": {}})
    manifest = tiles.manifest()
    head, counts, *notes = report(params, manifest, tiles.work)
    assert head == f"mtd: hash {manifest.hash}, labels: image + pixel"
    assert counts == "  mtd: 0 train, 2 normal, 10 anomalous, as expected"
    assert notes == [f"  note: {note}" for note in manifest.notes]
    tiles.change(expected={"mtd": [952, 392]})
    other = list(report(params, replace(manifest, has_image_labels=False, has_pixel_labels=False), tiles.work))
    assert other[:2] == [
        f"mtd: hash {manifest.hash}, labels: none",
        "  mtd: 0 train, 2 normal, 10 anomalous; expected: 952 normal, 392 anomalous",
    ]
