"""Published sets from their archives: licence, parts, what the user unpacked, and a plan that touches no network."""

import socket
from pathlib import Path

import pytest

from tests.helpers.archives import png
from tests.helpers.fetching import HASTY
from tests.helpers.http_server import Server
from tests.helpers.spots import IMAGE_PATH, MASK_PATH, assert_is_whole, direct, packed, params
from zsad.cli.main import main
from zsad.common.errors import UserError
from zsad.datasets import archives, licences
from zsad.datasets.archives import Places
from zsad.datasets.catalogue import catalogue, read_entry
from zsad.datasets.fetch import fetch
from zsad.datasets.index import build_manifest


@pytest.fixture
def places(tmp_path: Path) -> Places:
    below = tmp_path / "data"
    return Places(below / "downloads", below / "drop", below / "lock.yaml", below / "accepted.yaml", HASTY)


def test_a_set_is_fetched_unpacked_and_indexed(server: Server, tmp_path: Path, places: Places) -> None:
    block = params(
        tmp_path, direct(server, packed(tmp_path, "a.zip", {f"top/{IMAGE_PATH}": png(9), f"top/{MASK_PATH}": png(0)}))
    )
    fetch("mine", block, tmp_path / "raw/mine", places)
    manifest = build_manifest("mine", block, tmp_path / "raw/mine")
    assert [row.path for row in manifest.rows] == [f"top/{IMAGE_PATH}"]
    assert manifest.has_pixel_labels
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["mine"]
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert len(server.requests["/whole.zip"]) == 1
    assert "spots" in places.lock.read_text()


def test_parts_come_together_in_one_folder(server: Server, tmp_path: Path, places: Places) -> None:
    images = packed(tmp_path, "i.zip", {IMAGE_PATH: png(9), "LICENSE.txt": b"free"})
    masks = packed(tmp_path, "m.zip", {MASK_PATH: png(0)})
    block = params(tmp_path, direct(server, images, "images"), direct(server, masks, "masks"))
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert_is_whole("mine", block, tmp_path / "raw/mine")
    assert (places.store / "spots/images/images.zip").is_file()


def test_archives_within_the_archive_are_unpacked_too(server: Server, tmp_path: Path, places: Places) -> None:
    inner = packed(tmp_path, "inner.zip", {"a.png": png(9)})
    block = params(
        tmp_path,
        direct(server, packed(tmp_path, "a.zip", {"Images/in.zip": inner, MASK_PATH: png(0)})),
        nested="*/in.zip",
    )
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert_is_whole("mine", block, tmp_path / "raw/mine")


def test_one_file_in_two_parts_is_refused(server: Server, tmp_path: Path, places: Places) -> None:
    body = packed(tmp_path, "i.zip", {IMAGE_PATH: png(9)})
    block = params(tmp_path, direct(server, body, "images"), direct(server, body, "masks"))
    with pytest.raises(UserError, match=r"Images/a\.png is in another archive of this set as well"):
        fetch("mine", block, tmp_path / "raw/mine", places)
    assert not (tmp_path / "raw/mine").exists()


def test_a_licence_is_accepted_before_anything_is_asked_for(server: Server, tmp_path: Path, places: Places) -> None:
    body = packed(tmp_path, "i.zip", {IMAGE_PATH: png(9), MASK_PATH: png(0)})
    block = params(tmp_path, direct(server, body), accept=True)
    with pytest.raises(UserError, match=r"Two spots must be accepted first: CC0-1\.0; .*--accept-licence spots"):
        fetch("mine", block, tmp_path / "raw/mine", places)
    assert not server.requests["/whole.zip"]
    licences.accept("spots", read_entry(Path(block.path)), places.accepted)
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert_is_whole("mine", block, tmp_path / "raw/mine")


def test_a_wrong_archive_is_named_and_can_be_replaced(tmp_path: Path, places: Places) -> None:
    block = params(tmp_path, {"kind": "manual", "file": "spots.zip", "page": "http://page/", "note": "ask for it"})
    with pytest.raises(UserError, match=r"and run the command again \(ask for it\)"):
        fetch("mine", block, tmp_path / "raw/mine", places)
    dropped = places.drop / "spots/archive.zip"
    dropped.parent.mkdir(parents=True)
    dropped.write_bytes(packed(tmp_path, "w.zip", {"holiday/beach.png": png(3)}))
    with pytest.raises(UserError, match=r"(?s)not the files of Two spots.*remove the wrong archive from .*drop/spots"):
        fetch("mine", block, tmp_path / "raw/mine", places)
    assert not (tmp_path / "raw/mine").exists()
    dropped.write_bytes(packed(tmp_path, "r.zip", {IMAGE_PATH: png(9), MASK_PATH: png(0)}))
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert_is_whole("mine", block, tmp_path / "raw/mine")


def test_parts_that_are_here_come_before_an_address(server: Server, tmp_path: Path, places: Places) -> None:
    whole = direct(server, packed(tmp_path, "a.zip", {IMAGE_PATH: png(9), MASK_PATH: png(0)}))
    block = params(tmp_path, whole, direct(server, b"", "images"), direct(server, b"", "masks"))
    for part, name, value in (("images", IMAGE_PATH, 9), ("masks", MASK_PATH, 0)):
        (places.drop / "spots" / part).mkdir(parents=True)
        body = packed(tmp_path, f"{part}.zip", {name: png(value)})
        (places.drop / "spots" / part / f"{part}.zip").write_bytes(body)
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert_is_whole("mine", block, tmp_path / "raw/mine")
    assert not server.requests["/whole.zip"]


def test_the_licence_of_an_entry_of_ones_own_can_be_accepted(places: Places, tmp_path: Path) -> None:
    own = {"spots": read_entry(Path(params(tmp_path, {"kind": "manual", "file": "a", "page": "p"}, accept=True).path))}
    archives.accept_all(["spots"], own, places)
    assert licences.is_accepted("spots", own["spots"], places.accepted)


def test_another_licence_is_asked_for_again(tmp_path: Path, places: Places) -> None:
    entry = catalogue()["btad"]
    licences.accept("btad", entry, places.accepted)
    assert licences.is_accepted("btad", entry, places.accepted)
    changed = entry.model_copy(update={"licence": entry.licence.model_copy(update={"id": "other"})})
    assert not licences.is_accepted("btad", changed, places.accepted)
    assert not licences.is_accepted("elpv", catalogue()["elpv"], places.accepted)


def test_a_record_of_licences_that_cannot_be_read_is_named(places: Places) -> None:
    places.accepted.parent.mkdir()
    places.accepted.write_text("[1")
    with pytest.raises(UserError, match=r"accepted\.yaml: not readable"):
        licences.is_accepted("btad", catalogue()["btad"], places.accepted)


def test_what_the_user_unpacked_is_used_where_it_lies(tmp_path: Path, places: Places) -> None:
    manual: dict[str, object] = {"kind": "manual", "file": "spots.7z", "page": "http://page/"}
    block = params(tmp_path, manual)
    with pytest.raises(UserError, match=r"download spots\.7z from http://page/, put it into .*drop/spots/"):
        fetch("mine", block, tmp_path / "raw/mine", places)
    (places.drop / "spots").mkdir(parents=True)
    (places.drop / "spots/spots.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(600))
    with pytest.raises(UserError, match=r"7z archives cannot be unpacked here; unpack it by hand into .*drop/spots/"):
        fetch("mine", block, tmp_path / "raw/mine", places)
    for name, body in ((IMAGE_PATH, png(9)), (MASK_PATH, png(0))):
        (places.drop / "spots" / name).parent.mkdir()
        (places.drop / "spots" / name).write_bytes(body)
    fetch("mine", block, tmp_path / "raw/mine", places)
    assert_is_whole("mine", block, tmp_path / "raw/mine")
    assert [path.name for path in (tmp_path / "raw/mine").iterdir()] == ["folder.json"]


def test_a_dry_run_plans_every_set_without_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/drop/mpdd/tubes").mkdir(parents=True)
    (tmp_path / "data/drop/mpdd/tubes/a.png").write_bytes(png(1))
    (tmp_path / "data/downloads/btad").mkdir(parents=True)
    (tmp_path / "data/downloads/btad/btad.zip").write_bytes(b"")
    assert main(["fetch", "--all", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith("  ")] == list(catalogue())
    at = lines.index("btad: BTAD (BeanTech); 1.2 GB; licence: CC-BY-SA-4.0, needs --accept-licence btad")
    assert lines[at + 1] == "  here: data/downloads/btad/btad.zip"
    assert "  here, unpacked: data/drop/mpdd" in lines
    kaggle = lines.index("  Kaggle felipekitamura/head-ct-hemorrhage, through the package kaggle, with login")
    assert lines[kaggle + 1].startswith("  by hand: head-ct-hemorrhage.zip from https://www.kaggle.com/datasets/")
    assert lines[kaggle + 1].endswith(" into data/drop/headct/")
    assert not (tmp_path / "data/accepted_licences.yaml").exists()


def test_all_sets_are_brought_and_failures_listed_at_the_end(
    server: Server, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = packed(tmp_path, "i.zip", {IMAGE_PATH: png(9)})
    good = read_entry(Path(params(tmp_path, direct(server, body)).path))
    bad = read_entry(Path(params(tmp_path, {"kind": "manual", "file": "b.zip", "page": "http://page/"}).path))
    monkeypatch.setattr(archives, "catalogue", lambda: {"bad": bad, "good": good})
    lines: list[str] = []
    with pytest.raises(UserError, match=r"download b\.zip"):  # noqa: PT012  # what came before the failure counts
        for line in archives.bring_all(places):
            lines.append(line)
    assert lines == [f"good: {places.store}/good/whole.zip"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch"], "name one dataset, or give --all"),
        (["fetch", "visa", "--all"], "name one dataset, or give --all"),
        (["fetch", "visa", "--dry-run"], "--dry-run goes with --all"),
        (["fetch", "visaa"], "did you mean visa"),
        (["fetch", "btad"], "--accept-licence btad"),
        (["fetch", "btad", "--accept-licence", "btat"], "--accept-licence btat: no such set"),
    ],
)
def test_the_command_explains_itself(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "params.yaml").write_text(Path("params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
