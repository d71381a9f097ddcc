"""Pictures by address: what the operator did not allow is neither opened nor asked for, and nothing is told of it."""

import os
from pathlib import Path

import pytest

from tests.helpers.http_server import Answer, File, Server, serve
from zsad.common.errors import UserError
from zsad.inference import by_address
from zsad.inference.by_address import VARIABLE, allowed_by_operator


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one that is allowed, with a picture; beside it what is not."""
    inside = tmp_path / "line 3"
    inside.mkdir()
    (inside / "part.png").write_bytes(b"picture")
    (tmp_path / "secret").write_bytes(b"secret")
    monkeypatch.setenv(VARIABLE, f"'{inside}'")
    return inside


def origin(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_a_file_below_an_allowed_folder(folder: Path) -> None:
    assert allowed_by_operator().read(f"file://{folder}/part.png".replace(" ", "%20")) == b"picture"
    (folder / "link.png").symlink_to("part.png")
    assert allowed_by_operator().read(f"file://localhost{folder}/link.png") == b"picture"


def test_what_lies_outside_is_refused_in_the_same_words_whether_it_is_there_or_not(folder: Path) -> None:
    (folder / "out").symlink_to(folder.parent / "secret")
    (folder / "nowhere").symlink_to(folder.parent / "no such file")
    outside = [
        *(f"{folder.parent}/secret", f"{folder.parent}/no such file", f"{folder}/../secret"),
        *(f"{folder}/%2e%2e/secret", f"{folder}/out", f"{folder}/nowhere", f"{folder} of others/part.png"),
    ]
    told = set()
    for path in outside:
        with pytest.raises(UserError, match="not allowed here") as refusal:
            allowed_by_operator().read(f"file://{path}")
        told.add(str(refusal.value).replace(path, "PATH"))
    assert len(told) == 1
    with pytest.raises(UserError, match="not allowed here"):
        allowed_by_operator().read(f"file://elsewhere{folder}/part.png")


def test_nothing_is_allowed_by_default(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    address = server.put("/part.png", File(b"picture"))
    for refused in (f"file://{folder}/part.png", address, "ftp://127.0.0.1/part.png"):
        with pytest.raises(UserError, match=f"not allowed here.*{VARIABLE}"):
            allowed_by_operator().read(refused)
    assert server.requests["/part.png"] == []


def test_only_files_are_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe")  # reading would wait for ever
    for name, reason in (
        ("pipe", "no file"),
        (".", "no file"),
        ("none.png", "No such file"),
        ("a%00b", "not an address"),
    ):
        with pytest.raises(UserError, match=reason):
            allowed_by_operator().read(f"file://{folder}/{name}")


def test_an_allowed_host_and_its_redirects(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"https://cameras.example {origin(server)}/")
    address = server.put("/part.png", File(b"picture"))
    assert allowed_by_operator().read(address) == b"picture"
    moved = server.put("/moved", File(b"", always=Answer(302, {"Location": "/part.png"})))
    assert allowed_by_operator().read(moved) == b"picture"
    endless = server.put("/endless", File(b"", always=Answer(302, {"Location": "/endless"})))
    with pytest.raises(UserError, match="more than 5 redirects"):
        allowed_by_operator().read(endless)
    absent = server.put("/absent", File(b"", always=Answer(404)))
    with pytest.raises(UserError, match="answers with status 404"):
        allowed_by_operator().read(absent)


def test_a_redirect_to_another_host_is_not_followed(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as inner:
        monkeypatch.setenv(VARIABLE, f"{origin(server)} '{folder}'")
        secret = inner.put("/secret", File(b"secret"))
        for target in (secret, f"file://{folder}/part.png", "http://169.254.169.254/"):
            moved = server.put("/moved", File(b"", always=Answer(302, {"Location": target})))
            with pytest.raises(UserError, match="moved: not allowed here"):
                allowed_by_operator().read(moved)
        assert inner.requests["/secret"] == []


def test_addresses_that_only_look_like_an_allowed_host(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "https://cameras.example")
    for address in (
        *("http://cameras.example/a.png", "https://cameras.example:8443/a.png", "https://cameras.example.org/a.png"),
        *("https://cameras.example@127.0.0.1/a.png", "https://me:word@cameras.example/a.png"),
    ):
        with pytest.raises(UserError, match="not allowed here"):
            allowed_by_operator().read(address)
    for address in ("https://[cameras.example/a.png", "https://cameras.example:port/a.png"):
        with pytest.raises(UserError, match="not an address"):
            allowed_by_operator().read(address)


def test_a_picture_has_a_largest_size(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_address, "MAX_BYTES", 6)
    monkeypatch.setenv(VARIABLE, f"{origin(server)} '{folder}'")
    for address in (server.put("/part.png", File(b"picture", length=False)), f"file://{folder}/part.png"):
        with pytest.raises(UserError, match="larger than 6 bytes"):
            allowed_by_operator().read(address)


def test_a_host_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"does not answer \(ConnectionError\)"):
        allowed_by_operator().read("http://127.0.0.1:9/part.png")


@pytest.mark.parametrize(
    "entry", ["pictures", "/no/such/folder", "https://cameras.example/below", "ftp://host", "'/data"]
)
def test_an_operator_is_told_of_a_slip(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, entry)
    with pytest.raises(UserError, match=VARIABLE):
        allowed_by_operator()
