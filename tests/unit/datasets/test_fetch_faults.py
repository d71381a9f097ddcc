"""What goes wrong while fetching: exit code 2 and a named place, never a traceback; nothing half-written is left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.archives import png, write_tar, write_zip, zip_bytes
from tests.helpers.official_cases import Drawn
from zsad.cli.main import main
from zsad.common.errors import UserError
from zsad.config.schema import DatasetParams
from zsad.datasets.catalogue import FOLDER, catalogue, is_entry_file, read_entry
from zsad.datasets.fetch import fetch
from zsad.datasets.listing import list_images
from zsad.datasets.official import official_entry
from zsad.datasets.transport.access import TERMINATED


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Drawn]:
    return lambda name: Drawn(name, tmp_path, monkeypatch)


def own_entry(tmp_path: Path, name: str, old: str, new: str, suffix: str = "yaml") -> DatasetParams:
    """A user's own entry: a set of the catalogue with one fact changed."""
    text = (FOLDER / f"{name}.yaml").read_text()
    assert old in text
    path = tmp_path / f"mine.{suffix}"
    path.write_text(text.replace(old, new))
    return DatasetParams(kind="official", path=str(path))


def test_a_file_where_a_folder_must_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file")
    with pytest.raises(UserError, match=r"raw: File exists; check that it is the place you meant"):
        fetch("demo_object", DatasetParams(kind="demo", path="x"), tmp_path / "raw/demo_object")
    with pytest.raises(UserError, match=r"raw/deep: Not a directory"):
        fetch("demo_object", DatasetParams(kind="demo", path="x"), tmp_path / "raw/deep/demo_object")


def test_a_place_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"raw: Permission denied"):
        fetch("demo_object", DatasetParams(kind="demo", path="x"), tmp_path / "raw/demo_object")


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"closed: Permission denied"):
        list_images(tmp_path)


def test_dangling_links_are_named(tmp_path: Path) -> None:
    (tmp_path / "set/nut/test/good").mkdir(parents=True)
    (tmp_path / "set/nut/test/good/a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(UserError, match=r"a\.png: No such file"):
        fetch("mine", DatasetParams(path=str(tmp_path / "set")), tmp_path / "raw")


def test_an_unwritable_record_of_licences_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(Path("params.yaml").read_text())
    (tmp_path / "data").write_text("a file")
    monkeypatch.chdir(tmp_path)
    assert main(["fetch", "btad", "--accept-licence", "btad"]) == 2
    assert "data: File exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("three, 1", r"line 5: .*'id': 'three'.* does not fit into the path head_ct/head_ct/\{id:03d\}\.png"),
        ("x" * 10**6, "not a table"),
    ],
)
def test_words_for_numbers_are_named(row: str, message: str, drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("headct")
    text = (archive.tree.root / "labels.csv").read_text()
    archive.tree.text("labels.csv", text.replace("3, 1", row))
    with pytest.raises(UserError, match=message):
        archive.manifest()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"img_path": "a.png", "cls_name": "t", "anomaly": "yes"},
            r"at test\.t\.0\.anomaly: Input should be a valid integer",
        ),
        ({"img_path": "a.png", "cls_name": "t", "anomaly": 2}, r"at test\.t\.0\.anomaly: .*less than or equal to 1"),
        ({"img_path": 3, "cls_name": "t", "anomaly": 1}, r"at test\.t\.0\.img_path: Input should be a valid string"),
        ({"img_path": "a.png", "cls_name": "t", "anomaly": 1, "mask_path": [1]}, r"at test\.t\.0\.mask_path: "),
        ("a.png", r"at test\.t\.0: "),
    ],
)
def test_wrong_shapes_in_an_inventory_are_named(record: object, message: str, drawn: Callable[[str], Drawn]) -> None:
    archive = drawn("tn3k")
    archive.tree.remove("Thyroid Dataset/tn3k/test-mask/0000.jpg")
    archive.tree.remove("Thyroid Dataset/tn3k/test-mask/cju0qkwl35piu.jpg")
    for content in ({"test": {"t": [record]}}, {"test": [record]}, [record], "["):
        archive.tree.text("meta.json", content if content == "[" else json.dumps(content))
        with pytest.raises(UserError, match=r"meta\.json: not an inventory") as caught:
            archive.manifest()
        assert content != {"test": {"t": [record]}} or caught.match(message)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("sdd", "seed: 42", "seed: -1", r"mine\.yaml: ksdd_crops\.seed: .*greater than or equal to 0, got -1"),
        ("sdd", "seed: 42", "sed: 42", r"mine\.yaml: unknown parameter 'ksdd_crops\.sed'; did you mean 'seed'"),
        ("sdd", "name: ksdd_crops", "name: ksdd_crop", r"mine\.yaml: no layout 'ksdd_crop'; there are: aitex_tiles"),
        (
            "sdd",
            "{SDD: electrical commutator}\nexpected: {SDD: [286, 54]}",
            "{}\nexpected: {}",
            r"mine\.yaml: categories: ksdd_crops cuts a set of one category, not of 0",
        ),
        (
            "headct",
            "{id:03d}",
            "{id.imag}",
            r"mine\.yaml: csv_labels\.path_pattern: .*\{id\.imag\} is not the name of a c",
        ),
        (
            "br35h",
            'normal: ["no"], anomalous: ["yes"]',
            "normal: [], anomalous: []",
            r"class_folders: its options name no file",
        ),
    ],
)
def test_an_entry_is_checked_before_anything_is_fetched(
    name: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    block = own_entry(tmp_path, name, old, new)
    with pytest.raises(UserError, match=message):
        fetch("mine", block, tmp_path / "raw")


def test_an_archive_cannot_pass_for_an_inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = own_entry(tmp_path, "endo", "accept: true", "accept: false")
    (tmp_path / "data/drop/mine").mkdir(parents=True)
    top = "EndoTect_2020_Segmentation_Test_Dataset"
    names = {f"{top}/images/{i}.jpg": png(i) for i in range(200)} | {f"{top}/masks/{i}.png": png(i) for i in range(200)}
    names["folder.json"] = b'{"path": "/etc", "files": []}'
    (tmp_path / f"data/drop/mine/{top}.zip").write_bytes(zip_bytes(names))
    with pytest.raises(UserError, match=r"mine: its archive has a folder\.json at its top"):
        fetch("mine", block)
    assert list((tmp_path / "data/raw").iterdir()) == []


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    odd = "nut/test/good/caf\udce9.png"
    path = tmp_path / "a.tar"
    write_tar(path, [(odd, png(1))])
    with pytest.raises(UserError, match=r"is not UTF-8; if you trust it, unpack it by hand and give that folder"):
        fetch("mine", DatasetParams(path=str(path)), tmp_path / "raw")
    folder = tmp_path / "set/nut/test/good"
    folder.mkdir(parents=True)
    (tmp_path / "set" / odd).write_bytes(png(1))
    with pytest.raises(UserError, match=r"is not UTF-8; rename it"):
        fetch("mine", DatasetParams(path=str(tmp_path / "set")), tmp_path / "raw")


def test_the_installed_package_finds_the_catalogue_of_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("src/zsad/datasets/entries/visa.yaml", "src/zsad/datasets/entries/visa.yml"):
        assert official_entry("x", DatasetParams(kind="official", path=name)) == ("visa", catalogue()["visa"])
    for name in ("src/zsad/datasets/entries/visaa.yaml", "entries/visa.yaml", "visa.yaml"):
        with pytest.raises(UserError, match=r"no such file; the catalogue's are in .*entries"):
            read_entry(Path(name))


def test_both_extensions_of_yaml_are_entries(tmp_path: Path) -> None:
    block = own_entry(tmp_path, "btad", "title: BTAD", "title: Mine", "yml")
    assert official_entry("x", block)[1].title == "Mine (BeanTech)"
    assert not is_entry_file("data/parts")


def test_a_terminated_process_leaves_nothing(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "parts.zip", [("nut/test/good/0.png", png(1))])
    code = (
        "import sys, time; from pathlib import Path\n"
        "from zsad.config.schema import DatasetParams; from zsad.datasets import fetch\n"
        "fetch._take_over = lambda *_: print('unpacked', flush=True) or time.sleep(60)\n"
        "fetch.fetch('mine', DatasetParams(path=sys.argv[1]), Path(sys.argv[2]))"
    )
    raw = tmp_path / "raw"
    command = [sys.executable, "-c", code, str(archive), str(raw / "mine")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"unpacked\n"
        assert (raw / ".mine.part/.scratch/tree/nut/test/good/0.png").is_file()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == TERMINATED
    assert list(raw.iterdir()) == []


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    archive, raw = write_zip(tmp_path / "parts.zip", [("nut/test/good/0.png", png(1))]), tmp_path / "raw"
    (raw / ".mine.part/.scratch/tree").mkdir(parents=True)
    fetch("mine", DatasetParams(path=str(archive)), raw / "mine")
    assert [path.name for path in raw.iterdir()] == ["mine"]
    assert [path.name for path in (raw / "mine").iterdir()] == ["nut"]
