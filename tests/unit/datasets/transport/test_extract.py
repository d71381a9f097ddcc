"""Unpacking: honest archives come out whole; damaged ones, and those for other programs, say what to do."""

import random
import stat
import tarfile
from pathlib import Path

import pytest

from tests.helpers.archives import FILES, JUNK, TARS, assert_refused, contents, write_tar, write_zip, zip_bytes
from zsad.common.errors import UserError
from zsad.datasets.transport.extract import extract
from zsad.datasets.transport.members import incomplete


@pytest.mark.parametrize("name", ["a.zip", *TARS])
def test_an_archive_comes_out_as_it_was_packed_without_desktop_junk(tmp_path: Path, name: str) -> None:
    entries = {**FILES, **JUNK}.items()
    path = tmp_path / name
    if name == "a.zip":
        write_zip(path, entries)
    else:
        write_tar(path, entries, TARS[name])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("replaced")
    extract(path, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


def test_a_format_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    extract(write_tar(tmp_path / "a.zip", FILES.items(), "w:xz"), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


def test_folders_may_be_listed_and_modes_are_not_taken_over(tmp_path: Path) -> None:
    root, folder, program = tarfile.TarInfo("./"), tarfile.TarInfo("./bin"), tarfile.TarInfo("./bin/run")
    root.type = folder.type = tarfile.DIRTYPE
    program.mode = 0o4777
    entries = [(root, b""), (folder, b""), (program, b"x"), (folder, b"")]
    extract(write_tar(tmp_path / "a.tar", entries), tmp_path / "out")
    assert contents(tmp_path / "out") == {"bin/run": b"x"}
    assert not (tmp_path / "out/bin/run").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)


def test_a_zip_packed_in_an_unknown_way_says_what_to_do(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [("a", b"x")])
    data = bytearray(path.read_bytes())
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(signature) + method] = 9  # Deflate64
    path.write_bytes(data)
    assert_refused(path, "packed in a way that cannot be unpacked here .* unpack it by hand into data/drop/")


@pytest.mark.parametrize("kind", ["7z", "rar"])
def test_formats_that_need_another_program_say_what_to_do(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "aitex"
    folder.mkdir()
    path = folder / f"a.{kind}"
    path.write_bytes({"7z": b"7z\xbc\xaf\x27\x1c", "rar": b"Rar!\x1a\x07\x01\x00"}[kind] + bytes(100))
    assert_refused(path, f"{kind} archives cannot be unpacked here; unpack it by hand into data/drop/aitex/")
    assert incomplete(path) == ""


def test_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"<html>")
    assert_refused(path, "neither a zip nor a tar archive")


@pytest.mark.parametrize("name", ["a.zip", *TARS])
def test_archives_cut_anywhere_are_noticed(tmp_path: Path, name: str) -> None:
    whole = tmp_path / name
    entries = FILES.items()
    write_zip(whole, entries) if name == "a.zip" else write_tar(whole, entries, TARS[name])
    assert incomplete(whole) == ""
    data = whole.read_bytes()
    end = 75_000 if name == "a.tar" else len(data)  # the end of a tar is zeros that nothing needs
    for length in range(600, end - 1, 3001):
        whole.write_bytes(data[:length])
        assert incomplete(whole)


@pytest.mark.parametrize("name", ["a.zip", *TARS])
def test_damage_ends_in_a_message_or_in_the_files(tmp_path: Path, name: str) -> None:
    """60 random bits changed, one at a time: whatever they hit, nothing but UserError comes out."""
    path = tmp_path / name
    entries = {"a/1": b"a" * 3000, "b": random.Random(0).randbytes(2000)}.items()
    write_zip(path, entries) if name == "a.zip" else write_tar(path, entries, TARS[name])
    data, choose = path.read_bytes(), random.Random(3)
    refused = 0
    for _ in range(60):
        broken = bytearray(data)
        broken[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        path.write_bytes(broken)
        try:
            extract(path, tmp_path / "out")
        except UserError:
            refused += 1
    assert refused > 5
    assert sorted(item.name for item in tmp_path.iterdir() if item.name != "out") == [name]


def test_nested_archives_are_unpacked_where_they_lie(tmp_path: Path) -> None:
    inner = {"cat/1.png": b"1", "__MACOSX/x": b"x"}
    outer = {"set/cat.zip": zip_bytes(inner), "set/other.zip": zip_bytes({"o": b"o"}), "set/json/a.json": b"{}"}
    path = write_zip(tmp_path / "a.zip", outer.items())
    extract(path, tmp_path / "out", nested=["set/cat.zip"])
    assert contents(tmp_path / "out") == {
        "set/cat/1.png": b"1",
        "set/other.zip": outer["set/other.zip"],
        "set/json/a.json": b"{}",
    }
    extract(path, tmp_path / "all", nested=["*.zip"])
    assert sorted(contents(tmp_path / "all")) == ["set/cat/1.png", "set/json/a.json", "set/o"]


def test_a_nested_archive_that_is_missing_is_named(tmp_path: Path) -> None:
    assert_refused(write_zip(tmp_path / "a.zip", FILES.items()), "holds no .*part1.zip", nested=["*part1.zip"])


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    path = write_zip(tmp_path / "a.zip", FILES.items())
    assert_refused(path, "unpacking .* needs 73.0 kB, but only 1.0 kB are free")
