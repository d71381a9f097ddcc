"""Published sets that people bring themselves: whole or in parts, in the right copy, and told apart from others."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.archives import png, zip_bytes
from tests.helpers.fetching import HASTY
from tests.helpers.http_server import Server
from tests.helpers.official_cases import Drawn
from tests.helpers.official_layouts import Tree
from tests.helpers.spots import IMAGE_PATH, MASK_PATH, assert_is_whole, direct, packed, params
from zsad.common.errors import UserError
from zsad.datasets import archives
from zsad.datasets.archives import Places, plans, unpacked_by_hand
from zsad.datasets.catalogue import Entry, catalogue, read_entry
from zsad.datasets.fetch import fetch
from zsad.datasets.layouts import Files
from zsad.datasets.listing import list_images
from zsad.datasets.official import READ_SUFFIXES, read_official

THREE = {
    "ksdd2_bayespfl": ["KSDD2/Metal"],
    "rsdd_bayespfl": ["RSDD/Metal15"],
    "dagm7_bayespfl": [f"DAGM/Fabric{i}" for i in (1, 2, 3, 4, 5, 7, 8)],
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    below = tmp_path / "data"
    return Places(below / "downloads", below / "drop", below / "lock.yaml", below / "accepted.yaml", HASTY)


def manual(part: str, file: str) -> dict[str, object]:
    return {"kind": "manual", "part": part, "file": file, "page": "http://page/"}


def put(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def items(entry: Entry, root: Path) -> list[str]:
    found, _ = read_official(entry, Files(root, tuple(list_images(root, READ_SUFFIXES))))
    return [item.path for item in found]


def expecting(name: str, counts: list[int]) -> Entry:
    """The catalogue's entry with the numbers of a small copy."""
    entry = catalogue()[name]
    return entry.model_copy(update={"expected": dict.fromkeys(entry.categories, counts), "total": None})


def draw_three(root: Path, top: str = "") -> None:
    tree = Tree(root)
    for folder in (f"{top}{category}" for categories in THREE.values() for category in categories):
        tree.picture(*(f"{folder}/test/{kind}/{i}.bmp" for kind in ("good", "anomaly") for i in range(2)))
        tree.mask(*(f"{folder}/ground_truth/anomaly/{i}.png" for i in range(2)))


@pytest.mark.parametrize("top", ["", "DATA_three/"])
@pytest.mark.parametrize("name", sorted(THREE))
def test_three_sets_of_one_archive_are_told_apart(name: str, top: str, tmp_path: Path) -> None:
    draw_three(tmp_path, top)
    assert {str(Path(path).parents[2]) for path in items(expecting(name, [2, 2]), tmp_path)} == {
        f"{top}{category}" for category in THREE[name]
    }


def test_the_split_file_of_bayes_pfl_is_the_inventory(tmp_path: Path) -> None:
    draw_three(tmp_path)
    place = "KSDD2/Metal"
    empty: dict[str, Any] = {"img_path": "", "mask_path": "", "cls_name": "Metal", "specie_name": "good", "anomaly": 0}
    good = {**empty, "img_path": f"{place}/test/good/1.bmp"}
    mask = f"{place}/ground_truth/anomaly/0.png"
    bad = {**empty, "img_path": f"{place}/test/anomaly/0.bmp", "mask_path": mask, "anomaly": 1}
    (tmp_path / "meta_KSDD2.json").write_text(json.dumps({"train": {"Metal": [empty]}, "test": {"Metal": [bad, good]}}))
    assert items(expecting("ksdd2_bayespfl", [1, 1]), tmp_path) == [bad["img_path"], good["img_path"]]
    assert len(items(expecting("rsdd_bayespfl", [2, 2]), tmp_path)) == 4


def test_one_set_alone_needs_no_name(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.picture("Metal15/test/good/0.bmp", "Metal15/test/anomaly/0.bmp")
    tree.mask("Metal15/ground_truth/anomaly/0.png")
    assert len(items(expecting("rsdd_bayespfl", [1, 1]), tmp_path)) == 2


@pytest.mark.parametrize(("wanted", "other"), [("kvasir", "kvasir_seg_jpeg"), ("kvasir_seg_jpeg", "kvasir")])
def test_another_copy_of_kvasir_is_refused(
    wanted: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(Drawn(wanted, tmp_path / "right", monkeypatch).manifest().rows) == 2
    wrong = Drawn(other, tmp_path / "wrong", monkeypatch).tree.root
    with pytest.raises(UserError, match=rf"these are not the files of {catalogue()[wanted].title}; .*images/\*\*"):
        read_official(catalogue()[wanted], Files(wrong, tuple(list_images(wrong, READ_SUFFIXES))))


def test_a_part_that_is_unpacked_goes_with_one_that_is_dropped(tmp_path: Path, places: Places) -> None:
    block = params(tmp_path, manual("images", "Images.zip"), manual("masks", "Masks.zip"))
    put(places.drop / "spots" / IMAGE_PATH, png(9))
    put(places.drop / "spots/masks/Masks.zip", packed(tmp_path, "m.zip", {MASK_PATH: png(0)}))
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert_is_whole("mine", block, tmp_path / "raw/mine")
    assert (places.drop / "spots" / IMAGE_PATH).stat().st_nlink == 1, "the user's file is copied, not linked"
    put(places.drop / "spots" / MASK_PATH, png(0))
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert [path.name for path in (tmp_path / "raw/mine").iterdir()] == ["folder.json"]


def test_a_part_that_is_unpacked_goes_with_one_from_an_address(
    server: Server, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = direct(server, packed(tmp_path, "m.zip", {MASK_PATH: png(0)}), "masks")
    images = {**direct(server, b"", "images"), "file": "Images.zip"}
    block = params(tmp_path, images, masks)
    put(places.drop / "spots" / IMAGE_PATH, png(9))
    entry = read_entry(Path(block.path))
    monkeypatch.setattr(archives, "catalogue", lambda: {"spots": entry})
    assert plans(places)[0].steps == (f"here, unpacked: {places.drop}/spots", f"masks: {masks['url']}")
    assert list(archives.bring_all(places)) == [f"spots: {places.drop}/spots, {places.store}/spots/masks/masks.zip"]
    assert plans(places)[0].steps[1] == f"here: {places.store}/spots/masks/masks.zip"
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert_is_whole("mine", block, tmp_path / "raw/mine")
    assert not server.requests["/images.zip"]


def test_a_part_that_only_people_can_unpack_is_named_until_it_is(tmp_path: Path, places: Places) -> None:
    parts = ("Defect_images", "NODefect_images", "Mask_images")
    entry = catalogue()["aitex"]
    for part in parts:
        put(places.drop / "aitex" / part / f"{part}.7z", b"7z\xbc\xaf\x27\x1c" + bytes(600))
    assert unpacked_by_hand("aitex", entry, places).folder is None
    put(places.drop / "aitex/Defect_images/0001_002_00.png", png(1))
    put(places.drop / "aitex/NODefect_images/fabric/0001_000_00.png", png(2))
    half = unpacked_by_hand("aitex", entry, places)
    assert (half.is_whole, list(half.lacking)) == (False, ["Mask_images"])
    put(places.drop / "aitex/Mask_images/Mask_images/0001_002_00_mask.png", png(0))
    assert unpacked_by_hand("aitex", entry, places).is_whole


def test_a_copy_in_another_form_lacks_no_part(tmp_path: Path, places: Places) -> None:
    top = places.drop / "isic2016/ISBI/skin"
    put(top / "test/ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg", png(1))
    put(top / "ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000003_Segmentation.png", png(0))
    assert unpacked_by_hand("isic2016", catalogue()["isic2016"], places).is_whole


def test_all_missing_parts_are_named_at_once(tmp_path: Path, places: Places) -> None:
    block = params(tmp_path, manual("images", "Images.zip"), manual("masks", "Masks.zip"))
    with pytest.raises(UserError, match=r"(?s)Images\.zip .*drop/spots/images/.*Masks\.zip .*spots/masks/"):
        fetch("mine", block, tmp_path / "raw/mine", places)
    put(places.drop / "spots/images/Images.zip", zip_bytes({IMAGE_PATH: png(9)}))
    with pytest.raises(UserError, match=r"download Masks\.zip") as caught:
        fetch("mine", block, tmp_path / "raw/mine", places)
    assert "Images.zip" not in str(caught.value)
