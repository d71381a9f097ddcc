"""Fetch and index of folder sets: from pictures on disk to a manifest, and every way in which they can be unfit."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT
from zsad.common.errors import UserError
from zsad.common.io import read_json
from zsad.config.params import Params, load_params
from zsad.config.schema import DatasetParams
from zsad.datasets.archives import Places
from zsad.datasets.describe import describe
from zsad.datasets.fetch import INVENTORY, fetch, list_images
from zsad.datasets.index import build_manifest, check_categories, index
from zsad.datasets.layouts import Item
from zsad.datasets.manifest import Manifest, load_manifest


class Pictures:
    """A folder set being written: every picture differs from the others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def add(self, name: str, mode: str = "RGB", size: tuple[int, int] = (12, 10)) -> "Pictures":
        self.count += 1
        pixels = np.random.default_rng(self.count).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(path)
        return self

    def mask(self, name: str, size: tuple[int, int] = (12, 10), value: int = 255) -> "Pictures":
        pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
        pixels[2:5, 3:6] = value
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return self

    def manifest(self, work: Path, **block: object) -> Manifest:
        params = DatasetParams(path=str(self.root), **block)  # type: ignore[arg-type]
        fetch("photos", params, work / "raw")
        return index("photos", params, work / "raw", work / "manifests")


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """One category with masks and mixed modes."""
    made = Pictures(tmp_path / "photos")
    made.add("steel_nut/train/good/0.png").add("steel_nut/test/good/0.png", "L").add("steel_nut/test/good/1.png", "P")
    made.add("steel_nut/test/bent/a.png", "RGBA").add("steel_nut/test/bent/b.JPG", size=(20, 16))
    return made.mask("steel_nut/ground_truth/bent/a_mask.png").mask("steel_nut/ground_truth/bent/b_mask.png", (20, 16))


def test_manifest_of_a_folder(pictures: Pictures, tmp_path: Path) -> None:
    manifest = pictures.manifest(tmp_path, domain="factory", classes={"steel_nut": "nut"})
    assert manifest == load_manifest("photos", tmp_path / "manifests")
    assert (manifest.kind, manifest.domain, manifest.root) == ("folder", "factory", pictures.root)
    assert manifest.counts == {"steel_nut": {"train": 1, "normal": 2, "anomalous": 2}}
    assert (manifest.has_image_labels, manifest.has_pixel_labels) == (True, True)
    assert manifest.size == (12, 10)
    assert [(row.path, row.label, row.prompt_name) for row in manifest.test] == [
        ("steel_nut/test/bent/a.png", 1, "nut"),
        ("steel_nut/test/bent/b.JPG", 1, "nut"),
        ("steel_nut/test/good/0.png", 0, "nut"),
        ("steel_nut/test/good/1.png", 0, "nut"),
    ]
    assert [row.split for row in manifest.train] == ["train"]
    assert (manifest.test[1].width, manifest.test[1].height) == (20, 16)


def test_names_come_from_folders(pictures: Pictures, tmp_path: Path) -> None:
    manifest = pictures.manifest(tmp_path, classes={"bolt": "bolt"})
    assert {row.prompt_name for row in manifest.rows} == {"steel nut"}
    assert manifest.notes == ("classes names categories that the set does not have: bolt",)


def test_inventory_lists_pictures_and_no_copies(pictures: Pictures, tmp_path: Path) -> None:
    pictures.manifest(tmp_path)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [INVENTORY]
    inventory = read_json(tmp_path / "raw" / INVENTORY)
    assert inventory["path"] == str(pictures.root)
    assert [name for name, _ in inventory["files"]] == list_images(pictures.root)


def test_junk_is_ignored(pictures: Pictures, tmp_path: Path) -> None:
    before = pictures.manifest(tmp_path)
    for name in (".DS_Store", "steel_nut/test/good/Thumbs.db", "steel_nut/test/good/._0.png", "readme.txt"):
        (pictures.root / name).write_bytes(b"junk")
    pictures.add("__MACOSX/steel_nut/test/good/0.png")
    assert pictures.manifest(tmp_path).hash == before.hash


def test_hash_follows_pixels_masks_and_names(pictures: Pictures, tmp_path: Path) -> None:
    hashes = {pictures.manifest(tmp_path).hash, pictures.manifest(tmp_path, classes={"steel_nut": "nut"}).hash}
    pictures.mask("steel_nut/ground_truth/bent/a_mask.png", value=200)
    assert pictures.manifest(tmp_path).hash in hashes  # same foreground, other grey value
    pictures.add("steel_nut/test/good/0.png", "L")
    hashes.add(pictures.manifest(tmp_path).hash)
    whole = np.full((10, 12), 255, dtype=np.uint8)
    Image.fromarray(whole).save(pictures.root / "steel_nut/ground_truth/bent/a_mask.png")
    hashes.add(pictures.manifest(tmp_path).hash)
    assert len(hashes) == 4


def test_without_train_good_and_masks(tmp_path: Path) -> None:
    manifest = Pictures(tmp_path / "photos").add("skin/test/nevus/a.png").manifest(tmp_path)
    assert (manifest.has_image_labels, manifest.has_pixel_labels) == (False, False)
    assert manifest.domain == "other"


def test_masks_without_normal_pictures(tmp_path: Path) -> None:
    made = Pictures(tmp_path / "photos").add("skin/test/nevus/a.png").mask("skin/ground_truth/nevus/a.png")
    manifest = made.manifest(tmp_path)
    assert (manifest.has_image_labels, manifest.has_pixel_labels) == (False, True)


def test_all_unfit_files_in_one_message(pictures: Pictures, tmp_path: Path) -> None:
    whole = pictures.root / "steel_nut/test/good/0.png"
    whole.write_bytes(whole.read_bytes()[:-40])
    (pictures.root / "steel_nut/test/good/1.png").write_text("not a picture")
    pictures.mask("steel_nut/ground_truth/bent/a_mask.png", (9, 9))
    pictures.mask("steel_nut/ground_truth/bent/b_mask.png", (20, 16), value=1)
    with pytest.raises(UserError) as caught:
        pictures.manifest(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert [name in line for name, line in zip(("a_mask", "b_mask", "0.png", "1.png"), lines, strict=True)] == [
        True
    ] * 4
    assert not (tmp_path / "manifests").exists()


def test_empty_mask_is_refused(pictures: Pictures, tmp_path: Path) -> None:
    pictures.mask("steel_nut/ground_truth/bent/a_mask.png", value=0)
    with pytest.raises(UserError, match=r"a_mask\.png: mask of an anomalous picture is empty"):
        pictures.manifest(tmp_path)


def test_repeated_pictures_are_noted(pictures: Pictures, tmp_path: Path) -> None:
    source = pictures.root / "steel_nut/train/good/0.png"
    (pictures.root / "steel_nut/test/good/9.png").write_bytes(source.read_bytes())
    note = "the same picture across split (1): steel_nut/test/good/9.png = steel_nut/train/good/0.png"
    assert pictures.manifest(tmp_path).notes == (note,)


def test_exif_rotation_is_noted(pictures: Pictures, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(pictures.root / "steel_nut/test/good/r.jpg", exif=exif)
    manifest = pictures.manifest(tmp_path)
    assert manifest.notes == ("EXIF rotation is not applied (1): steel_nut/test/good/r.jpg",)
    assert next((row.width, row.height) for row in manifest.rows if row.path.endswith("r.jpg")) == (8, 6)


@pytest.mark.parametrize("content", [None, "empty", "text only"])
def test_folder_without_pictures_names_the_parameter(tmp_path: Path, content: str | None) -> None:
    root = tmp_path / "photos"
    if content:
        root.mkdir()
    if content == "text only":
        (root / "notes.txt").write_text("nothing here")
    with pytest.raises(UserError, match=r"params\.yaml: datasets\.photos\.path: .*photos: no "):
        Pictures(root).manifest(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_linked_folders_are_followed_once(pictures: Pictures, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "nut").symlink_to(pictures.root / "steel_nut")
    (linked / "loop").symlink_to(linked)
    assert len([name for name in list_images(linked) if name.startswith("nut/test/good")]) == 2


def test_pictures_gone_since_fetching_are_named(pictures: Pictures, tmp_path: Path) -> None:
    pictures.manifest(tmp_path)
    (pictures.root / "steel_nut/test/good/0.png").unlink()
    with pytest.raises(UserError, match=r"gone since it was fetched: .*good/0\.png; run `dvc repro -f fetch@photos`"):
        build_manifest("photos", DatasetParams(path=str(pictures.root)), tmp_path / "raw")


def test_missing_stages_name_their_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `dvc repro fetch@photos`"):
        build_manifest("photos", DatasetParams(path="x"), tmp_path / "raw")
    with pytest.raises(UserError, match="run `dvc repro index@photos`"):
        load_manifest("photos", tmp_path)


def test_unknown_demo_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"datasets\.demo_food\.kind: no demo set 'demo_food'; there are: demo_source"):
        fetch("demo_food", DatasetParams(kind="demo", path="x"), tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def test_table_of_datasets(pictures: Pictures, tmp_path: Path) -> None:
    raw, manifests = tmp_path / "data" / "raw", tmp_path / "data" / "manifests"
    block = DatasetParams(path=str(pictures.root), domain="factory")
    params: Params = load_params(ROOT / "params.yaml")
    params = params.model_copy(
        update={"datasets": {"photos": block, "demo_object": DatasetParams(kind="demo", path="x")}}
    )
    places = Places(tmp_path / "downloads", tmp_path / "drop")
    assert describe(params, raw, manifests, places)[0].on_disk == "folder"
    fetch("photos", block, raw / "photos")
    assert describe(params, raw, manifests, places)[0].on_disk == "fetched"
    manifest = index("photos", block, raw / "photos", manifests)
    photos, gears = describe(params, raw, manifests, places)
    assert (photos.where, photos.on_disk, photos.hash) == (str(pictures.root), "indexed", manifest.hash)
    assert (photos.labels, photos.counts) == ("image + pixel", "1 + 2 normal, 2 anomalous, 1 categories")
    assert (photos.title, gears.title, gears.licence) == ("", "Demo objects (drawn)", "MIT")
    assert (gears.domain, gears.on_disk, gears.hash) == ("demo_object", "", "")
    assert gears.counts == "expected: 12 + 24 normal, 39 anomalous, 3 categories"


def test_heavy_libraries_stay_out() -> None:
    code = (
        "import sys, zsad.datasets.index, zsad.datasets.describe, zsad.datasets.fetch;"
        "print({'torch', 'pandas', 'sklearn', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_category_whose_name_holds_a_slash_is_refused() -> None:
    """Tables of published sets name categories as they like; here it is also the name of a stored model."""
    items = [Item(f"{name}/0.png", name, "test", 0, "good", "") for name in ("nut", "a/b")]
    with pytest.raises(UserError, match="mine: category 'a/b': a name may not hold `/`"):
        check_categories("mine", items)
