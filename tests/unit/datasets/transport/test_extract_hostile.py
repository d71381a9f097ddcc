"""Unpacking hostile archives: refused, with nothing written."""

import random
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.helpers.archives import FILES, TARS, assert_refused, write_tar, write_zip, zip_bytes
from zsad.datasets.transport import extract as module

HOSTILE_NAMES = {
    "/tmp/evil": "is an absolute path",
    "../evil": "leads out of the folder",
    "a/../../evil": "leads out of the folder",
    "C:/evil": "is an absolute path",
    "C:evil": "is an absolute path",
    "..\\evil": "has a backslash",
    "\\\\host\\share\\evil": "has a backslash",
    "a/" + "n" * 256: "is too long",
    "a\nb": "is not a name",
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    entries = [("good", b"good"), (name, b"evil")]
    path = write_zip(tmp_path / "a.zip", entries) if kind == "zip" else write_tar(tmp_path / "a.tar", entries)
    assert_refused(path, HOSTILE_NAMES[name])


def test_a_name_cut_by_a_null_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [("a_evil", b"x")])
    path.write_bytes(path.read_bytes().replace(b"a_evil", b"a\0evil"))
    assert_refused(path, "is not a name")


@pytest.mark.parametrize(
    ("first", "second"),
    [("a/b", "a/b"), ("a/b.png", "A/B.PNG"), ("a/é", "a/e\u0301"), ("a", "a/b"), ("a/b", "a"), ("a/./b", "a/b")],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_occur_twice_are_refused(tmp_path: Path, first: str, second: str, kind: str) -> None:
    entries = [(first, b"1"), (second, b"2")]
    with pytest.warns() if kind == "zip" and first == second else nullcontext():
        path = write_zip(tmp_path / "a.zip", entries) if kind == "zip" else write_tar(tmp_path / "a.tar", entries)
    assert_refused(path, r"occurs twice \(capitals aside\)")


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "is a device"),
        (tarfile.BLKTYPE, "is a device"),
        (tarfile.FIFOTYPE, "is a device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, problem: str) -> None:
    entry = tarfile.TarInfo("way")
    entry.type, entry.linkname = kind, "/etc"
    assert_refused(write_tar(tmp_path / "a.tar", [(entry, b""), ("way/evil", b"x")]), f"'way' {problem}")


@pytest.mark.parametrize(("kind", "problem"), [(stat.S_IFLNK, "is a link"), (stat.S_IFCHR, "is a device")])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int, problem: str) -> None:
    entry = zipfile.ZipInfo("way")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    assert_refused(write_zip(tmp_path / "a.zip", [(entry, b"/etc")]), f"'way' {problem}")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [("secret", b"x")])
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    path.write_bytes(data)
    assert_refused(path, "'secret' is encrypted")


@pytest.mark.parametrize("name", ["a.zip", *TARS])
def test_more_bytes_than_the_limit_are_refused(tmp_path: Path, name: str) -> None:
    entries = FILES.items()
    path = write_zip(tmp_path / name, entries) if name == "a.zip" else write_tar(tmp_path / name, entries, TARS[name])
    assert_refused(path, "unpacks to more than 60.0 kB", limit=60_000)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_bombs_are_refused_by_their_ratio(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HARMLESS", 1_000_000)
    entries = [(f"{i}", bytes(500_000)) for i in range(10)]
    path = write_zip(tmp_path / name, entries) if name == "a.zip" else write_tar(tmp_path / name, entries, TARS[name])
    assert path.stat().st_size < 25_000
    assert_refused(path, "the most that is allowed")


def test_a_million_empty_files_count_as_well(tmp_path: Path) -> None:
    assert_refused(write_tar(tmp_path / "a.tar", [(f"{i}", b"") for i in range(100)]), "more than", limit=40_000)


def test_a_size_declared_too_small_is_found_out(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [("a", bytes(100_000))])
    path.write_bytes(path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert_refused(path, "damaged or cut short")


def test_a_size_declared_too_large_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("a")
    entry.size = 10**12
    path = tmp_path / "a.tar"
    path.write_bytes(entry.tobuf() + bytes(10_000))
    assert_refused(path, "unpacks to more than")


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    """Many entries of the table of contents that share one packed stream."""
    path = write_zip(tmp_path / "a.zip", [(f"{i}", random.Random(1).randbytes(5000)) for i in range(3)])
    data = path.read_bytes()
    last = data.index(b"PK\x03\x04", data.index(b"PK\x03\x04", 1) + 1)
    path.write_bytes(data[last : data.index(b"PK\x01\x02")] + data[data.index(b"PK\x01\x02") :])
    assert_refused(path, "damaged or cut short")


def test_a_giant_name_is_not_read_into_memory(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("a")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 10**11
    path = tmp_path / "a.tar"
    path.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    assert_refused(path, "a name or attribute of 100000000000 bytes")


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ({"../../evil": b"x"}, "in.zip: refused, because '../../evil' leads out"),
        ({"TAKEN": b"x"}, "in.zip: refused, because 'TAKEN' occurs twice"),
        ({"big": bytes(90_000)}, "in.zip: refused, because it unpacks to more than"),
    ],
)
def test_nested_archives_are_held_to_the_same_rules(tmp_path: Path, inner: Mapping[str, bytes], message: str) -> None:
    path = write_zip(tmp_path / "a.zip", [("taken", b""), ("in.zip", zip_bytes(inner))])
    assert_refused(path, message, limit=100_000, nested=["in.zip"])
