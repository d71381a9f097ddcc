"""Kaggle's own client, in whose place a package of the same names stands: what it fetches, and each way it fails."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.fetching import BODY, OTHER, SHA, Obtain
from zsad.common.errors import UserError
from zsad.datasets.transport.transfer import Remote

ADDRESS = "https://www.kaggle.com/datasets/owner/some-slug"
Stub = Callable[..., None]

CLIENT = """
import requests
from pathlib import Path

def answer(status):
    response = requests.Response()
    response.status_code = status
    return response

class KaggleApi:
    def authenticate(self):
        print("advice")
        {login}

    def dataset_download_files(self, dataset, path, unzip, quiet):
        assert (dataset, unzip, quiet) == ("owner/some-slug", False, True)
        print("Dataset URL")
        {download}
"""


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Puts a package kaggle in place whose two calls are these statements; it logs in when imported, as some do."""

    def install(content: bytes = BODY, login: str = "pass", download: str = "", imported: str = "pass") -> None:
        package = tmp_path / "modules/kaggle"
        (package / "api").mkdir(parents=True)
        (package / "__init__.py").write_text(f"print('advice')\n{imported}\n")
        (package / "api/__init__.py").touch()
        download = download or f"(Path(path) / 'some-slug.zip').write_bytes({content!r})"
        (package / "api/kaggle_api_extended.py").write_text(CLIENT.format(login=login, download=download))
        monkeypatch.syspath_prepend(package.parent)
        for name in ("kaggle", "kaggle.api", "kaggle.api.kaggle_api_extended"):
            monkeypatch.delitem(sys.modules, name, raising=False)

    return install


def source(sha: str | None = SHA, size: int | None = None) -> Remote:
    return Remote("kaggle", dataset="owner/some-slug", file="a.zip", sha256=sha, size=size)


def refused(fetch: Obtain, remote: Remote) -> str:
    """Why Kaggle gave nothing."""
    with pytest.raises(UserError) as caught:
        fetch(remote, Remote("manual", file="a.zip", page="http://page/"))
    first, reason, by_hand = str(caught.value).splitlines()
    assert first == "d: no usable archive:"
    assert by_hand.startswith("By hand: download a.zip from http://page/")
    return reason.removeprefix(f"  {ADDRESS}: ")


def test_its_zip_is_kept_under_the_name_of_the_source(
    fetch: Obtain, tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    path = fetch(source())
    assert path == tmp_path / "store/d/a.zip"
    assert path.read_bytes() == BODY
    assert list((tmp_path / "store/d/kaggle").iterdir()) == []
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("advice") == 1


def test_an_unpublished_hash_is_recorded(fetch: Obtain, tmp_path: Path, stub: Stub) -> None:
    stub()
    fetch(source(sha=None))
    text = (tmp_path / "lock.yaml").read_text()
    assert f"sha256: {SHA}" in text
    assert f"url: {ADDRESS}" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<!doctype html><title>Sign in", "got a web page"), (b"", "got an empty file"), (OTHER, "sha256 is ")],
)
def test_an_answer_is_judged_like_all_others(
    fetch: Obtain, tmp_path: Path, stub: Stub, content: bytes, reason: str
) -> None:
    stub(content)
    assert refused(fetch, source()).startswith(reason)
    assert list((tmp_path / "store/d/kaggle").iterdir()) == []


def test_without_the_package_it_is_skipped(fetch: Obtain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaggle", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "kaggle.api", raising=False)
    monkeypatch.delitem(sys.modules, "kaggle.api.kaggle_api_extended", raising=False)
    assert refused(fetch, source()) == "skipped, because the package kaggle is not installed (pip install kaggle)"


@pytest.mark.parametrize(
    "calls",
    [
        {"login": "raise SystemExit(1)"},
        {"login": "raise OSError('Could not find kaggle.json')"},
        {"login": "raise ValueError('no JSON')"},
        {"imported": "raise SystemExit(1)"},
        {"imported": "raise OSError('Could not find kaggle.json')"},
        {"download": "raise requests.HTTPError('401 Client Error', response=answer(401))"},
    ],
)
def test_where_the_token_goes_is_said(fetch: Obtain, stub: Stub, calls: dict[str, str]) -> None:
    stub(**calls)
    reason = refused(fetch, source())
    assert "get a token on https://www.kaggle.com/settings" in reason
    assert "~/.kaggle/kaggle.json" in reason


def test_a_process_told_to_end_ends(fetch: Obtain, stub: Stub) -> None:
    stub(login="raise SystemExit(143)")
    with pytest.raises(SystemExit):
        fetch(source())


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ({"download": "raise requests.HTTPError('404 Client Error', response=answer(404))"}, "404 Client Error"),
        ({"download": "raise requests.ConnectionError('nobody\\n there')"}, "nobody there"),
        ({"download": "raise ValueError('Downloaded file size (1) does not match')"}, "Downloaded file size (1)"),
        ({"login": "raise requests.ConnectionError('nobody')"}, "nobody"),
    ],
)
def test_errors_of_the_client_are_told(fetch: Obtain, stub: Stub, calls: dict[str, str], reason: str) -> None:
    stub(**calls)
    told = refused(fetch, source())
    assert told.startswith(reason)
    assert "token" not in told


def test_room_is_asked_for_first(fetch: Obtain, tmp_path: Path, stub: Stub) -> None:
    stub(download="raise AssertionError('asked too late')")
    with pytest.raises(UserError, match=r"the rest of a\.zip needs .*are free on this disk"):
        fetch(source(size=shutil.disk_usage(tmp_path).total * 2))


def test_a_full_disk_is_named(fetch: Obtain, stub: Stub) -> None:
    stub(download="import errno; raise OSError(errno.ENOSPC, 'No space left on device')")
    with pytest.raises(UserError, match=r"some-slug\.zip: no space left on the disk"):
        fetch(source())
