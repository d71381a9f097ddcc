"""Published datasets as their archives come: every form is read, twice the same, and faults are named."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.official_cases import Drawn
from tests.helpers.official_layouts import RAW, Tree
from zsad.common.errors import UserError
from zsad.datasets.catalogue import catalogue
from zsad.datasets.manifest import Manifest


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Drawn]:
    return lambda name: Drawn(name, tmp_path, monkeypatch)


def test_every_entry_has_a_tree() -> None:
    assert set(RAW) == set(catalogue())


@pytest.mark.parametrize("name", sorted(RAW))
def test_archive_becomes_the_expected_manifest(name: str, drawn: Callable[[str], Drawn]) -> None:
    archive = drawn(name)
    manifest = archive.manifest()
    found = {category: [count["normal"], count["anomalous"]] for category, count in manifest.counts.items()}
    assert found == dict.fromkeys(archive.entry.categories or ["audiojack"], archive.counts)
    labels = archive.entry.labels
    assert (manifest.has_image_labels, manifest.has_pixel_labels) == (labels.image, labels.pixel)
    assert manifest.domain == archive.entry.domain
    assert {row.category: row.prompt_name for row in manifest.rows} == (
        archive.entry.categories or {"audiojack": "audiojack"}
    )
    assert all(bool(row.mask) == (labels.pixel and row.label == 1) for row in manifest.rows)
    assert not any(row.label for row in manifest.train)
    assert archive.manifest() == manifest


def paths(manifest: Manifest, category: str) -> list[tuple[str, str]]:
    """(picture, mask) of the anomalous pictures."""
    return [(row.path, row.mask) for row in manifest.test if row.label and row.category == category]


@pytest.mark.parametrize(
    ("name", "category", "picture", "mask"),
    [
        ("mvtec", "cable", "cable/test/crack/000.png", "cable/ground_truth/crack/000_mask.png"),
        ("visa", "candle", "candle/Data/Images/Anomaly/000.JPG", "candle/Data/Masks/Anomaly/000.png"),
        (
            "btad",
            "03",
            "BTech_Dataset_transformed/03/test/ko/0000.bmp",
            "BTech_Dataset_transformed/03/ground_truth/ko/0000.bmp",
        ),
        ("ksdd2", "KSDD2", "test/20002.png", "test/20002_GT.png"),
        ("dagm", "Class10", "Class10/Test/0002.PNG", "Class10/Test/Label/0002_label.PNG"),
        ("colondb", "ColonDB", "Polyp_DataSet/CVC-ColonDB/images/1.png", "Polyp_DataSet/CVC-ColonDB/masks/1.png"),
        (
            "isic2016",
            "isic",
            "ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg",
            "ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000003_Segmentation.png",
        ),
    ],
)
def test_pictures_meet_their_masks(
    name: str, category: str, picture: str, mask: str, drawn: Callable[[str], Drawn]
) -> None:
    assert paths(drawn(name).manifest(), category)[0] == (picture, mask)


def test_thirds_of_kolektor_keep_their_origin(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("sdd")
    manifest = archive.manifest()
    assert paths(manifest, "SDD") == [
        ("SDD/test/defect/kos02_Part1_1.png", "SDD/ground_truth/defect/kos02_Part1_1_mask.png")
    ]
    assert sorted({(row.width, row.height) for row in manifest.rows}) == [(6, 10), (6, 11)]
    assert len(manifest.train) == 8
    with (archive.work / "raw" / "crops.csv").open() as file:
        boxes = {row["path"]: row for row in csv.DictReader(file)}
    assert len(boxes) == 12
    assert list(boxes["SDD/test/defect/kos02_Part1_1.png"].values())[1:] == ["kos02/Part1.jpg", "0", "10", "6", "20"]


def test_tiles_of_aitex_unite_several_masks(drawn: Callable[[str], Drawn]) -> None:
    rows = drawn("aitex").manifest().test
    assert [(row.path, row.width) for row in rows if row.label] == [
        ("AITEX/test/defect/0001_002_00_00.png", 8),
        ("AITEX/test/defect/0001_002_00_03.png", 6),
    ]


def test_masks_known_to_be_empty_are_left_out(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("mtd")
    stem = "exp1_num_Uneven_1"
    archive.tree.mask(f"Magnetic-tile-defect-datasets.-cc4eb530/MT_Uneven/Imgs/{stem}.png", value=0)
    with pytest.raises(UserError, match=r"exp1_num_Uneven_1\.png: mask of an anomalous picture is empty"):
        archive.manifest()
    archive.change(unusable_masks=[stem])
    assert [row.path for row in archive.manifest().test if row.label and not row.mask] == [
        f"Magnetic-tile-defect-datasets.-cc4eb530/MT_Uneven/Imgs/{stem}.jpg"
    ]


def test_class_numbers_are_masks_only_where_the_entry_says_so(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("visa")
    assert archive.manifest().mask_rule == "nonzero"
    archive.change(mask_threshold="gt127")
    with pytest.raises(UserError, match=r"Masks/Anomaly/000\.png: largest mask value is 1"):
        archive.manifest()


def test_a_share_of_the_normals_is_drawn_as_in_scikit_learn(drawn: Callable[[str], Drawn]) -> None:
    from sklearn.model_selection import train_test_split

    manifest = drawn("lag_inctrl").manifest()
    names = sorted(row.path for row in manifest.rows if not row.label)
    _, test = train_test_split(names, test_size=0.25, random_state=42)
    assert {row.path for row in manifest.test if not row.label} == set(test)


def test_order_of_the_table_decides_the_share(drawn: Callable[[str], Drawn]) -> None:
    from sklearn.model_selection import train_test_split

    archive = drawn("headct_inctrl")
    rows = [f"{i}, {int(i < 4)}\n" for i in (7, 0, 5, 1, 6, 2, 4, 3)]
    archive.tree.text("labels.csv", "id, hemorrhage\n" + "".join(rows))
    _, test = train_test_split([7, 5, 6, 4], test_size=0.25, random_state=42)
    found = [row.path for row in archive.manifest().test if not row.label]
    assert found == [f"head_ct/head_ct/{number:03d}.png" for number in test]


def test_folders_of_no_class_are_noted(drawn: Callable[[str], Drawn]) -> None:
    folders = "Br35H-Mask-RCNN/TRAIN, Br35H-Mask-RCNN/VAL, pred"
    note = f"folders that are neither normal nor anomalous are left out: {folders}"
    assert note in drawn("br35h").manifest().notes


def test_doubled_content_is_read_once(drawn: Callable[[str], Drawn], tmp_path: Path) -> None:
    archive = drawn("dagm")
    whole = archive.tree.root
    archive.tree = Tree(tmp_path / "kaggle")
    archive.draw(archive.tree, archive.entry)
    (whole).rename(archive.tree.root / "DAGM_KaggleUpload")
    archive.tree.picture("__MACOSX/Class1/Test/0001.PNG")
    assert {row.path.split("/")[0] for row in archive.manifest().rows} == set(archive.entry.categories)


def test_copies_in_another_form_are_read(drawn: Callable[[str], Drawn], tmp_path: Path) -> None:
    archive = drawn("headct")
    archive.tree = Tree(tmp_path / "drive")
    for number in range(4):
        archive.tree.picture(
            *(f"HeadCT_anomaly_detection/brain/test/{kind}/{number}.png" for kind in ("good", "defect"))
        )
    assert archive.manifest().counts == {"headct": {"train": 0, "normal": 4, "anomalous": 4}}


def test_prepared_folder_is_read_by_its_inventory(drawn: Callable[[str], Drawn], tmp_path: Path) -> None:
    archive = drawn("tn3k")
    tree = archive.tree = Tree(tmp_path / "prepared")
    tree.picture("tn3k/imgs/a.png", "tn3k/imgs/b.png")
    tree.mask("tn3k/gt/a.png", "tn3k/gt/b.png")
    record = (
        '{"img_path": "/home/someone/data/tn3k/imgs/%s.png", "mask_path": "/home/someone/data/tn3k/gt/%s.png",'
        ' "cls_name": "thyroid", "specie_name": "defect", "anomaly": 1}'
    )
    records = ", ".join(record % (stem, stem) for stem in "ab")
    tree.text("meta.json", f'{{"Train": {{}}, "Test": {{"thyroid": [{records}]}}}}')
    assert paths(archive.manifest(), "tn3k") == [
        ("tn3k/imgs/a.png", "tn3k/gt/a.png"),
        ("tn3k/imgs/b.png", "tn3k/gt/b.png"),
    ]
    tree.remove("tn3k/gt/b.png")
    with pytest.raises(UserError, match=r"meta\.json: no such mask: /home/someone/data/tn3k/gt/b\.png of tn3k/imgs/b"):
        archive.manifest()
    tree.text("meta.json", '{"test": {"thyroid": [{"path": "a.png"}]}}')
    with pytest.raises(UserError, match=r"meta\.json: not an inventory .* at test\.thyroid\.0\.img_path: Field req"):
        archive.manifest()


def test_cameras_of_real_iad_can_be_chosen(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("real_iad")
    assert len(archive.manifest().rows) == 3
    options = {**archive.entry.layout.options, "views": ["C1"]}
    archive.change(layout=archive.entry.layout.model_copy(update={"options": options}))
    assert [(row.split, row.label) for row in archive.manifest().rows] == [("test", 1), ("test", 0)]


def test_pictures_without_public_labels_are_left_out(drawn: Callable[[str], Drawn]) -> None:
    manifest = drawn("mvtec2").manifest()
    assert {row.path.split("/")[2] for row in manifest.rows} == {"train", "test_public"}
    assert manifest.notes[0].startswith(
        "24 pictures outside of train/good, test_public/*, test_public/ground_truth/* are left out: can/test_private/"
    )
