"""Every way of storing a picture is read as a viewer shows it, or refused by name; docs/pictures.md says which."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT
from tests.helpers.dicom_files import DICOM_CASES
from tests.helpers.stored_pictures import CASES, Case
from zsad.common.errors import UserError
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.inference.pictures.opening import PICTURE_SUFFIXES, open_picture

ALL = [*CASES, *DICOM_CASES]
PAGE = (ROOT / "docs/pictures.md").read_text()


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.row}: {case.name}")
def test_a_stored_picture(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.name
    case.write(path)
    if case.pixels is None:
        with pytest.raises(UserError, match=rf"{path}: not a readable picture \(.*({case.refused})"):
            open_picture(path, case.bits)
        return
    for form in (path, path.read_bytes()):
        picture = open_picture(form, case.bits)
        assert picture.mode == "RGB"
        assert picture.size == case.pixels.shape[1::-1]
        assert np.abs(np.asarray(picture).astype(int) - case.pixels).max() <= case.tolerance


def test_the_page_tells_the_same() -> None:
    (table,) = re.findall(r"\| stored as \| answer \|\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    told = {row.split("|")[1].strip(): row.split("|")[2] for row in table.splitlines()}
    assert set(told) == {case.row for case in ALL}
    for row, answer in told.items():
        some_are_read = any(case.pixels is not None and case.bits is None for case in ALL if case.row == row)
        assert answer.strip().startswith("read" if some_are_read else "refused"), row


def test_the_page_names_what_folders_are_searched_for() -> None:
    assert all(f"`{suffix}`" in PAGE for suffix in PICTURE_SUFFIXES)


def test_datasets_are_searched_for_what_they_were() -> None:
    """With more, the manifest of a set that is there would be another, and its numbers with it."""
    assert IMAGE_SUFFIXES == (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@pytest.mark.filterwarnings("ignore")  # pydicom tells what it thinks of spoilt values
def test_spoilt_bytes_are_a_picture_or_refused(tmp_path: Path) -> None:
    """One bad file among millions must not end a run, whatever a parser makes of it."""
    random, outcomes = np.random.RandomState(0), {"read": 0, "refused": 0}
    for case in ALL:
        case.write(tmp_path / case.name)
        if not (tmp_path / case.name).is_file():
            continue
        stored = np.frombuffer((tmp_path / case.name).read_bytes(), np.uint8)
        (tmp_path / case.name).unlink()
        for _ in range(25 if stored.size > 30 else 0):
            spoilt = stored.copy()
            spoilt[random.randint(0, min(spoilt.size, random.choice([64, 400, 4000])), 3)] = random.randint(0, 256, 3)
            try:
                outcomes["read"] += open_picture(spoilt.tobytes(), case.bits).mode == "RGB"
            except UserError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 100


def test_dicom_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DICOM_CASES[0].write(tmp_path / "ct.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r"ct\.dcm: .*not installed: pip install 'zsad\[dicom\]'"):
        open_picture(tmp_path / "ct.dcm")


def test_pillow_images_and_arrays() -> None:
    deep = np.full((3, 4), 2**15, np.uint16)
    assert np.asarray(open_picture(Image.fromarray(deep))).tolist() == np.full((3, 4, 3), 128).tolist()
    with pytest.raises(UserError, match="picture: .*probably --bits 12"):
        open_picture(Image.fromarray(deep >> 4))
    assert np.asarray(open_picture(np.full((3, 4), 7, np.uint8)))[0, 0].tolist() == [7, 7, 7]


@pytest.mark.parametrize("bits", [8, 17])
def test_bits_that_no_picture_has(bits: int) -> None:
    with pytest.raises(UserError, match=f"--bits {bits}: from 9 to 16"):
        open_picture(np.zeros((3, 4), np.uint8), bits)
