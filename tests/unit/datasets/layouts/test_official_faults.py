"""Faults in published datasets as their archives come: each message names the files at fault, or what was expected."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.official_cases import Drawn
from zsad.common.errors import UserError
from zsad.config.schema import DatasetParams
from zsad.datasets.fetch import fetch


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Drawn]:
    return lambda name: Drawn(name, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("name", "removed", "message"),
    [
        ("mvtec", "cable/ground_truth/crack/001_mask.png", r"no mask for cable/test/crack/001\.png .*001_mask\.\*"),
        ("mvtec", "cable/test/crack/001.png", r"no picture for mask cable/ground_truth/crack/001_mask\.png"),
        ("btad", "BTech_Dataset_transformed/03/ground_truth/ko/0001.bmp", r"no mask for 03/test/ko/0001\.bmp"),
        ("visa", "candle/Data/Images/Normal/0001.JPG", r"1cls\.csv, line 3: no such picture: candle/.*0001\.JPG"),
        ("visa", "candle/Data/Masks/Anomaly/001.png", r"1cls\.csv, line 6: no such mask: .*001\.png of .*001\.JPG"),
        ("isic2016", "ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg", r"no picture for mask ISBI.*0000003_Segm"),
        ("endo", "EndoTect_2020_Segmentation_Test_Dataset/masks/0000.png", r"no mask for images/0000\.jpg"),
        ("ksdd2", "test/20001_GT.png", r"no mask for test/20001\.png \(expected 20001_GT\.\*\)"),
        ("ksdd2", "test/20001.png", r"no picture for mask test/20001_GT\.png"),
        ("mtd", "Magnetic-tile-defect-datasets.-cc4eb530/MT_Fray/Imgs/exp1_num_Fray_1.png", r"no mask for MT_Fray"),
        ("dagm", "Class3/Test/Label/0002_label.PNG", r"Class3/Test/0002 is anomalous, .*0002_label\.PNG is missing"),
        ("dagm", "Class3/Test/0002.PNG", r"no picture for mask Class3/Test/Label/0002_label\.PNG"),
        ("elpv", "elpv-dataset-411fd72/src/elpv_dataset/data/images/cell0002.png", r"line 2: no such picture: images/"),
        ("sdd", "kos01/Part0_label.bmp", r"no label picture for kos01/Part0\.jpg \(expected kos01/Part0_label\.\*\)"),
        ("sdd", "kos01/Part0.jpg", r"no picture for label kos01/Part0_label\.bmp"),
        ("aitex", "Defect_images/0001_002_00.png", r"no picture for mask Mask_images/0001_002_00_mask1\.png"),
        (
            "real_iad",
            "realiad_1024/audiojack/OK/S0001/audiojack_0001_OK_C1_20231021.jpg",
            r"audiojack\.json: no such file: realiad_1024/audiojack/OK/S0001",
        ),
        ("br35h", "no/No11.jpg", r"Br35H 2020: br35h: 1 normal and 2 anomalous test pictures, expected 2 and 2"),
    ],
)
def test_missing_files_are_named(name: str, removed: str, message: str, drawn: Callable[[str], Drawn]) -> None:
    archive = drawn(name)
    archive.tree.remove(removed)
    with pytest.raises(UserError, match=message):
        archive.manifest()


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("visa", "split_csv/1cls.csv", "object,split", "object,part", r"1cls\.csv: no column split; it has object, pa"),
        ("visa", "split_csv/1cls.csv", "test,anomaly", "test,broken", r"line 5: split 'test' or label 'broken'"),
        ("visa", "split_csv/1cls.csv", "test,anomaly", "test,normal", r"line 5: .* is normal, its mask is candle/"),
        ("headct", "labels.csv", "hemorrhage", "bleeding", r"labels\.csv: no column hemorrhage; it has id, bleeding"),
        ("headct", "labels.csv", "3, 1", "3, yes", r"labels\.csv, line 5: hemorrhage is 'yes', not a number"),
        ("headct", "labels.csv", "3, 1", "3", r"labels\.csv, line 5: 1 columns, expected 2: id, hemorrhage"),
        (
            "dagm",
            "Class1/Test/Label/Labels.txt",
            "1\t0\t0001",
            "1\t1\t0001",
            r"Class1/Test/0001 is anomalous, .*missing",
        ),
        (
            "real_iad",
            "realiad_jsons/realiad_jsons/audiojack.json",
            '"mask_path"',
            '"mask"',
            r"json: not a split .*; at train\.0\.mask_path: Field required",
        ),
    ],
)
def test_wrong_tables_are_named(
    name: str, file: str, old: str, new: str, message: str, drawn: Callable[[str], Drawn]
) -> None:
    archive = drawn(name)
    text = (archive.tree.root / file).read_text()
    assert old in text
    archive.tree.text(file, text.replace(old, new))
    with pytest.raises(UserError, match=message):
        archive.manifest()


def test_counts_that_nobody_verified_are_noted(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("covid19")
    archive.change(expected={"covid19": [9, 1]}, unverified=["expected"])
    note = "covid19: 2 normal and 1 anomalous test pictures, expected 9 and 1; the expected number is not verified"
    assert note in archive.manifest().notes


def test_total_of_all_categories_is_checked(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("dagm")
    archive.change(total=[30, 11])
    with pytest.raises(UserError, match="all categories: 30 normal and 10 anomalous test pictures, expected 30 and 11"):
        archive.manifest()


def test_missing_and_unknown_categories_are_named(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("mpdd")
    (archive.tree.root / "MPDD/tubes").rename(archive.tree.root / "MPDD/pipes")
    with pytest.raises(UserError, match="no pictures of category: tubes\n.*unknown category: pipes"):
        archive.manifest()


def test_folders_of_other_sets_are_not_taken_in(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("rsdd_bayespfl")
    archive.tree.picture("DATA/Fabric1/test/good/0.bmp")
    with pytest.raises(UserError, match="unknown category: Fabric1$"):
        archive.manifest()


@pytest.mark.parametrize(
    ("name", "mask"), [("sdd", "kos01/Part0_label.bmp"), ("aitex", "Mask_images/0001_002_00_mask1.png")]
)
def test_mask_of_another_size_is_named_before_cutting(name: str, mask: str, drawn: Callable[[str], Drawn]) -> None:
    archive = drawn(name)
    archive.tree.mask(mask, size=(30, 30))
    with pytest.raises(UserError, match=rf"{mask}: mask is 30 x 30, its picture"):
        archive.manifest()
    assert not (archive.work / "raw").exists()


def test_other_files_say_what_was_looked_for(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("visa")
    archive.tree.remove("split_csv/1cls.csv")
    message = r"not the files of VisA; looked for visa_csv \(split_csv/1cls\.csv\); mvtec_like \(\*/test/\*/\*\*\)"
    with pytest.raises(UserError, match=message):
        archive.manifest()


def test_another_release_is_refused(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("elpv")
    archive.change(contains={"labels.csv": "0" * 64})
    with pytest.raises(UserError, match=r"labels\.csv: sha256 is .*, expected 0000.*another release of ELPV"):
        archive.manifest()


def test_defect_without_any_mask_is_named_before_cutting(drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("aitex")
    archive.change(unusable_masks=[])
    with pytest.raises(UserError, match=r"no mask for Defect_images/0100_025_08\.png"):
        archive.manifest()
    assert not (archive.work / "raw").exists()


def test_missing_folder_names_the_parameter(tmp_path: Path) -> None:
    for name in ("btad", "sdd"):
        with pytest.raises(UserError, match=rf"datasets\.{name}\.path: .*nowhere: no such folder; .*unpacked archive"):
            fetch(name, DatasetParams(kind="official", path=str(tmp_path / "nowhere")), tmp_path / "raw")
