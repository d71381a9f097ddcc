"""A set of the user's own from an archive or an address: unpacked or copied, resumed, and refused with a remedy."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.helpers.archives import TARS, contents, png, write_tar, write_zip, zip_bytes
from tests.helpers.fetching import HASTY
from tests.helpers.http_server import Answer, File, Server
from zsad.common.errors import UserError
from zsad.config.schema import REMOTE, DatasetParams
from zsad.config.validation import validate
from zsad.datasets.archives import Places
from zsad.datasets.fetch import fetch
from zsad.datasets.index import build_manifest
from zsad.datasets.transport import remote

SET = {
    "nut/train/good/0.png": png(1),
    "nut/test/good/0.png": png(2),
    "nut/test/crack/1.png": png(3),
    "nut/ground_truth/crack/1_mask.png": png(0),
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    below = tmp_path / "data"
    return Places(below / "downloads", below / "drop", below / "lock.yaml", below / "accepted.yaml", HASTY)


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    storage = fsspec.filesystem("memory")
    yield storage
    storage.rm("/", recursive=True)


def at(url: str) -> DatasetParams:
    return DatasetParams(kind="folder", url=url, path=REMOTE)


def assert_is_whole(params: DatasetParams, raw: Path) -> None:
    assert contents(raw) == SET
    manifest = build_manifest("mine", params, raw)
    assert manifest.counts == {"nut": {"train": 1, "normal": 1, "anomalous": 1}}


@pytest.mark.parametrize("top", ["", "parts/", "a/parts/"])
@pytest.mark.parametrize("name", ["parts.zip", *TARS])
def test_an_archive_is_unpacked(name: str, top: str, tmp_path: Path, places: Places) -> None:
    entries = [(f"{top}{path}", data) for path, data in {**SET, "README.txt": b"mine"}.items()]
    path = tmp_path / name
    if name in TARS:
        write_tar(path, entries, TARS[name])
    else:
        write_zip(path, entries)
    block = DatasetParams(path=str(path))
    fetch("mine", block, tmp_path / "raw", places)
    assert_is_whole(block, tmp_path / "raw")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["test/good/0.png"],
            r"datasets\.mine\.path: .*a\.zip: .*is a single category: give the folder above it",
        ),
        (["beach.png"], r"datasets\.mine\.path: .*a\.zip: no picture below <category>/test/<good or defect>/"),
        (["nut/test/good/0.png", "nut/ground_truth/crack/1.png"], "no picture for mask nut/ground_truth/crack/1"),
        (["../evil.png"], r"a\.zip: refused, because '\.\./evil\.png' leads out of the folder; .*give that folder as"),
    ],
)
def test_an_archive_that_is_no_set_says_why(names: list[str], message: str, tmp_path: Path, places: Places) -> None:
    write_zip(tmp_path / "a.zip", [(name, png(1)) for name in names])
    with pytest.raises(UserError, match=message):
        fetch("mine", DatasetParams(path=str(tmp_path / "a.zip")), tmp_path / "raw", places)
    assert not (tmp_path / "raw").exists()
    assert (tmp_path / "a.zip").is_file()


def test_a_file_that_is_no_archive_is_named(tmp_path: Path, places: Places) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(UserError, match=r"datasets\.mine\.path: .*a\.txt: neither a folder nor an archive"):
        fetch("mine", DatasetParams(path=str(tmp_path / "a.txt")), tmp_path / "raw", places)


def test_an_archive_from_the_web_is_resumed_and_asked_for_once(server: Server, tmp_path: Path, places: Places) -> None:
    body = zip_bytes({**SET, "filler.bin": bytes(300_000)})
    url = server.put("/parts.zip", File(body, answers=[Answer(cut=100_000), Answer(status=503)]))
    fetch("mine", at(url), tmp_path / "raw", places)
    assert_is_whole(at(url), tmp_path / "raw")
    assert server.sent["/parts.zip"] == len(body) + len(b"<html>no</html>")
    fetch("mine", at(url), tmp_path / "raw", places)
    assert len(server.requests["/parts.zip"]) == 3
    other = server.put("/other.zip", File(zip_bytes(SET)))
    fetch("mine", at(other), tmp_path / "raw", places)
    assert len(server.requests["/other.zip"]) == 1


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (File(b"<html>log in</html>"), r"a\.zip: got a web page .* instead of a zip archive"),
        (File(b"", always=Answer(status=404)), r"a\.zip: HTTP 404"),
        (File(zip_bytes(SET)[:-30]), r"a\.zip: damaged or cut short"),
    ],
)
def test_a_wrong_answer_of_the_web_is_named(
    file: File, message: str, server: Server, tmp_path: Path, places: Places
) -> None:
    url = server.put("/a.zip", file)
    with pytest.raises(UserError, match=message):
        fetch("mine", at(url), tmp_path / "raw", places)
    assert not (tmp_path / "raw").exists()


def test_an_archive_in_a_storage_goes_on_where_it_stopped(
    memory: MemoryFileSystem, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/bucket/parts.zip", zip_bytes({**SET, "filler.bin": bytes(5_000_000)}))
    read: list[int] = []
    opened = MemoryFileSystem.open

    def breaking(*arguments: Any, **options: Any) -> Any:
        file = opened(*arguments, **options)
        take = file.read
        file.read = lambda size: (read.append(size), None if len(read) == 4 else take(size))[1] or _broken(len(read))
        return file

    def _broken(count: int) -> bytes:
        if count == 4:
            raise ConnectionError("gone")
        return b""

    monkeypatch.setattr(MemoryFileSystem, "open", breaking)
    with pytest.raises(UserError, match=r"memory://bucket/parts\.zip: cannot be read \(ConnectionError: gone\)"):
        fetch("mine", at("memory://bucket/parts.zip"), tmp_path / "raw", places)
    partial = places.store / "mine/archive/parts.zip.part"
    assert partial.stat().st_size > 2_000_000
    monkeypatch.setattr(MemoryFileSystem, "open", opened)
    before = partial.stat().st_ino
    fetch("mine", at("memory://bucket/parts.zip"), tmp_path / "raw", places)
    assert (places.store / "mine/archive/parts.zip").stat().st_ino == before
    assert_is_whole(at("memory://x"), tmp_path / "raw")


def test_a_folder_in_a_storage_is_copied_and_resumed(
    memory: MemoryFileSystem, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in {**SET, "notes.txt": b"x", ".hidden/a.png": png(1)}.items():
        memory.pipe(f"/bucket/parts/{name}", data)
    copied: list[str] = []
    get, lock = MemoryFileSystem.get_file, threading.Lock()

    def failing(storage: MemoryFileSystem, name: str, target: str, **options: Any) -> None:
        with lock:
            copied.append(name)
        if name.endswith("1_mask.png") and copied.count(name) == 1:
            raise ConnectionError("gone")
        get(storage, name, target, **options)

    monkeypatch.setattr(MemoryFileSystem, "get_file", failing)
    block = at("memory://bucket/parts")
    with pytest.raises(UserError, match=r"parts: nut/ground_truth/crack/1_mask\.png: cannot be read \(ConnectionError"):
        fetch("mine", block, tmp_path / "raw", places)
    assert not (tmp_path / "raw").exists()
    fetch("mine", block, tmp_path / "raw", places)
    assert_is_whole(block, tmp_path / "raw")
    assert len(copied) == len(SET) + 1
    memory.rm("/bucket", recursive=True)
    fetch("mine", block, tmp_path / "raw", places)
    assert_is_whole(block, tmp_path / "raw")


def test_a_changed_folder_is_not_mixed_with_an_older_copy(
    memory: MemoryFileSystem, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in SET.items():
        memory.pipe(f"/bucket/{name}", data)
    get = MemoryFileSystem.get_file

    def changing(storage: MemoryFileSystem, name: str, target: str, **options: Any) -> None:
        get(storage, name, target, **options)
        if name.endswith("1_mask.png"):
            raise ConnectionError("gone")

    monkeypatch.setattr(MemoryFileSystem, "get_file", changing)
    with pytest.raises(UserError, match="ConnectionError"):
        fetch("mine", at("memory://bucket"), tmp_path / "raw", places)
    monkeypatch.setattr(MemoryFileSystem, "get_file", get)
    memory.pipe("/bucket/nut/train/good/0.png", png(77))
    fetch("mine", at("memory://bucket"), tmp_path / "raw", places)
    assert (tmp_path / "raw/nut/train/good/0.png").read_bytes() == png(77)
    assert sorted(path.name for path in (places.store / "mine").iterdir()) == ["address", "fetch.lock", "files"]


def test_a_folder_of_this_machine_by_its_address(tmp_path: Path, places: Places) -> None:
    for name, data in SET.items():
        (tmp_path / "parts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "parts" / name).write_bytes(data)
    block = at(f"file://{tmp_path}/parts")
    fetch("mine", block, tmp_path / "raw", places)
    assert_is_whole(block, tmp_path / "raw")
    write_zip(tmp_path / "parts.zip", SET.items())
    block = at(f"file://{tmp_path}/parts.zip")
    fetch("mine", block, tmp_path / "raw", places)
    assert_is_whole(block, tmp_path / "raw")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/parts", r"s3:// needs a package that is not installed .*; pip install s3fs"),
        ("gs://bucket/parts.zip", r"gs:// needs a package that is not installed .*; pip install gcsfs"),
        ("nowhere://bucket", r"nowhere://bucket: Protocol not known: nowhere; `url` takes https://"),
        ("memory://empty", r"memory://empty: nothing is there"),
        ("memory://bucket/beach", r"memory://bucket/beach: no pictures below it"),
        ("memory://bucket/beach/a.txt", r"a\.txt: got something else instead of an archive"),
    ],
)
def test_an_address_that_is_no_set_says_why(
    url: str,
    message: str,
    memory: MemoryFileSystem,
    tmp_path: Path,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    memory.pipe("/bucket/beach/a.txt", b"hello")
    with pytest.raises(UserError, match=message):
        fetch("mine", at(url), tmp_path / "raw", places)


def test_names_that_lead_elsewhere_are_not_copied(
    memory: MemoryFileSystem, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/bucket/nut/a.png", png(1))
    found = {"/bucket/nut/../../evil.png": {"size": 1, "type": "file"}}
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *_, **__: found)
    with pytest.raises(UserError, match=r"refused, because 'nut/\.\./\.\./evil\.png' leads out of the folder"):
        fetch("mine", at("memory://bucket"), tmp_path / "raw", places)


def test_a_full_disk_is_told_before_copying(
    memory: MemoryFileSystem, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, needed: int, what: str) -> None:
        raise UserError(f"{what} needs {needed}")

    monkeypatch.setattr(remote, "require_space", full)
    for name, data in SET.items():
        memory.pipe(f"/bucket/{name}", data)
    with pytest.raises(UserError, match=f"copying memory://bucket needs {sum(map(len, SET.values()))}"):
        fetch("mine", at("memory://bucket"), tmp_path / "raw", places)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"path": "s3://a/b"}, rf"write `url: s3://a/b, path: {REMOTE}`"),
        ({"url": "s3://a/b", "path": "elsewhere"}, rf"`url` needs `kind: folder` and `path: {REMOTE}` beside it"),
        ({"url": "s3://a/b", "path": REMOTE, "kind": "demo"}, r"`url` needs `kind: folder`"),
        ({"url": "http://[x", "path": REMOTE}, r"Invalid IPv6 URL"),
        ({"url": "parts.zip", "path": REMOTE}, r"'parts\.zip' is not an address such as https://"),
    ],
)
def test_an_address_stands_under_url(block: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(DatasetParams, block, "params.yaml")
