"""The order of sources: what is here, what the user dropped, mirrors, Google Drive; and trust on first use."""

import sys
from hashlib import md5, sha256
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers.fetching import BODY, HASTY, OTHER, SHA, Obtain, direct, drop
from tests.helpers.http_server import Answer, File, Server
from zsad.common.errors import UserError
from zsad.datasets.transport.policy import Policy
from zsad.datasets.transport.transfer import Remote, obtain


def test_a_published_md5_is_checked_and_the_sha256_recorded(server: Server, fetch: Obtain, tmp_path: Path) -> None:
    wrong = Remote("direct", url=server.put("/b", File(OTHER)), file="a.zip", md5=md5(BODY).hexdigest())
    right = Remote("direct", url=server.put("/a", File(BODY)), file="a.zip")
    assert fetch(wrong, right).read_bytes() == BODY
    assert SHA in (tmp_path / "lock.yaml").read_text()
    with pytest.raises(UserError, match=f"md5 is {md5(OTHER).hexdigest()}, published is {md5(BODY).hexdigest()}"):
        obtain("e", [wrong], tmp_path / "store", tmp_path / "drop", tmp_path / "lock.yaml", HASTY)


# What is here already


def test_a_stored_file_is_verified_and_needs_no_network(server: Server, fetch: Obtain, tmp_path: Path) -> None:
    remote = direct(server.put("/a", File(BODY)))
    assert fetch(remote).read_bytes() == BODY
    assert fetch(remote) == tmp_path / "store/d/a.zip"
    assert len(server.requests["/a"]) == 1
    assert sorted(path.name for path in (tmp_path / "store/d").iterdir()) == ["a.zip", "fetch.lock"]
    assert not (tmp_path / "lock.yaml").exists()  # its hash is published


def test_a_stored_file_that_rotted_is_fetched_again(server: Server, fetch: Obtain) -> None:
    remote = direct(server.put("/a", File(BODY)))
    fetch(remote).write_bytes(OTHER)
    assert fetch(remote).read_bytes() == BODY


def test_a_dropped_file_is_used_where_it_lies(fetch: Obtain, tmp_path: Path) -> None:
    path = drop(tmp_path, "a.zip", BODY)
    assert fetch(direct("http://127.0.0.1:1/a")) == path


def test_an_only_archive_of_any_name_serves_a_manual_source(fetch: Obtain, tmp_path: Path) -> None:
    manual = Remote("manual", file="slug.zip", page="http://page/", sha256=SHA)
    path = drop(tmp_path, "archive.zip", BODY)
    drop(tmp_path, "readme.txt", b"not an archive")
    assert fetch(manual) == path
    drop(tmp_path, "another.zip", OTHER)
    with pytest.raises(UserError, match="none of its archives has the name asked for"):
        fetch(manual)
    assert fetch(Remote("manual", file="another.zip")).read_bytes() == OTHER


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (OTHER, "sha256 is .*, published is"),
        (b"<!DOCTYPE html><title>Sign in", "is a web page .* instead of a zip archive"),
        (b"", "is an empty file"),
        (b"Rar!\x1a\x07\x01\x00", "is a rar file instead of a zip archive"),
        (b"text", "is something else"),
    ],
)
def test_a_wrong_file_in_the_drop_folder_is_named(fetch: Obtain, tmp_path: Path, content: bytes, problem: str) -> None:
    path = drop(tmp_path, "a.zip", content)
    with pytest.raises(UserError, match=problem) as caught:
        fetch(Remote("manual", file="a.zip", page="http://page/", sha256=SHA))
    assert str(path) in str(caught.value)


def test_a_manual_source_asks_for_the_file(fetch: Obtain, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch(Remote("manual", file="MPDD.zip", page="http://page/"))
    assert str(caught.value).splitlines() == [
        "d: no usable archive here yet",
        f"By hand: download MPDD.zip from http://page/, put it into {tmp_path}/drop/d/ and run the command again",
    ]


# All sources together


def test_the_message_lists_what_was_tried_and_the_way_by_hand(
    server: Server, fetch: Obtain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)  # as if it were not installed
    urls = [
        server.put("/page", File(b"<!doctype html><title>Sign in")),
        server.put("/gone", File(b"", always=Answer(404))),
        server.put("/wrong", File(OTHER)),
        server.put("/busy", File(b"", always=Answer(500))),
        server.put("/cut", File(BODY, always=Answer(cut=0))),
        "http://127.0.0.1:1/a",
        "ftp://127.0.0.1/a",
    ]
    drive = Remote("gdrive", id="1x", file="a.zip")
    manual = Remote("manual", file="a.zip", page="http://page/")
    with pytest.raises(UserError) as caught:
        fetch(*map(direct, urls), drive, manual)
    lines = str(caught.value).splitlines()
    reasons = [
        "got a web page",
        "HTTP 404 Not Found",
        f"sha256 is {sha256(OTHER).hexdigest()}, published is {SHA}",
        "HTTP 500 Internal Server Error; given up after 4 attempts",
        "connection failed",
        "connection failed",
        "No connection adapters",
        "the package gdown is not installed",
    ]
    assert lines[0] == "d: no usable archive:"
    for line, where, reason in zip(lines[1:-1], [*urls, drive.address], reasons, strict=True):
        assert line.startswith(f"  {where}: ")
        assert reason in line
    assert lines[-1] == (
        f"By hand: download a.zip from http://page/, put it into {tmp_path}/drop/d/ and run the command again"
    )


def test_two_fetches_of_one_set_do_not_mix(server: Server, fetch: Obtain, tmp_path: Path) -> None:
    (tmp_path / "store/d").mkdir(parents=True)
    with (
        FileLock(tmp_path / "store/d/fetch.lock"),
        pytest.raises(UserError, match="another process is fetching d; wait for it or stop it"),
    ):
        fetch(direct(server.put("/a", File(BODY))))


# Trust on first use


def test_an_unpublished_hash_is_recorded_and_enforced(server: Server, fetch: Obtain, tmp_path: Path) -> None:
    url = server.put("/a", File(BODY))
    path = fetch(direct(url, sha=None))
    lock = tmp_path / "lock.yaml"
    for part in ("d:\n  a.zip:\n", f"sha256: {SHA}", f"size: {len(BODY)}", f"url: {url}"):
        assert part in lock.read_text()
    assert fetch(direct(url, sha=None)) == path
    path.unlink()
    server.put("/a", File(OTHER))
    with pytest.raises(UserError, match=f"but {SHA} was recorded on .* to accept the new file, delete its entry in"):
        fetch(direct(url, sha=None))
    drop(tmp_path, "a.zip", OTHER)
    with pytest.raises(UserError, match="drop/d/a.zip: sha256 is"):
        fetch(Remote("manual", file="a.zip"))
    lock.unlink()
    assert fetch(direct(url, sha=None)).read_bytes() == OTHER


def test_mirrors_of_a_published_file_are_held_to_its_hash(server: Server, fetch: Obtain) -> None:
    remotes = direct("http://127.0.0.1:1/a"), direct(server.put("/b", File(OTHER)), sha=None)
    with pytest.raises(UserError, match=f"published is {SHA}"):
        fetch(*remotes, policy=Policy(attempts=1))


def test_a_file_cut_short_is_never_trusted(server: Server, fetch: Obtain, tmp_path: Path) -> None:
    """Without Content-Length the end of a broken connection looks like the end of the file."""
    file = File(BODY, etag="", length=False, answers=[Answer(cut=100_000)], always=Answer(404))
    with pytest.raises(UserError, match="damaged or cut short"):
        fetch(direct(server.put("/a", file), sha=None))
    assert not (tmp_path / "lock.yaml").exists()


def test_a_broken_lock_file_is_named(server: Server, fetch: Obtain, tmp_path: Path) -> None:
    (tmp_path / "lock.yaml").write_text("d: {a.zip: {sha256: 1}}")
    with pytest.raises(UserError, match=r"lock.yaml: not readable .* restore it from Git"):
        fetch(direct(server.put("/a", File(BODY)), sha=None))


# Google Drive


@pytest.mark.parametrize("content", [BODY, b"<html>quota</html>", OTHER])
def test_drive_files_are_judged_like_all_others(
    fetch: Obtain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    package = tmp_path / "modules/gdown"
    package.mkdir(parents=True)
    (package / "exceptions.py").write_text("class DownloadError(Exception): pass\n")
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "def download(id, output, quiet, resume, timeout, retries, progress):\n"
        f"    assert id == '1x'; Path(output).write_bytes({content!r}); progress(5, None)\n"
    )
    monkeypatch.syspath_prepend(package.parent)
    for name in ("gdown", "gdown.exceptions"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    remote = Remote("gdrive", id="1x", file="a.zip", sha256=SHA)
    if content == BODY:
        assert fetch(remote) == tmp_path / "store/d/a.zip"
    else:
        with pytest.raises(UserError, match="https://drive.google.com/file/d/1x/view: (got a web page|sha256 is)"):
            fetch(remote)
        assert not (tmp_path / "store/d/drive/a.zip").exists()
