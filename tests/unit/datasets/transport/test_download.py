"""One archive over HTTP: every fault of a server ends in the right file or in a message."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path

import pytest

from tests.helpers.fetching import BODY, HASTY, OTHER, WAITS, Obtain, direct, make_zip
from tests.helpers.http_server import Answer, File, Server
from zsad.common.errors import UserError
from zsad.datasets.transport.policy import PATIENT, Policy

# Connections that break


def test_a_cut_connection_goes_on_where_it_broke(server: Server, fetch: Obtain) -> None:
    cuts = [Answer(cut=100_000), Answer(cut=50_001), Answer(cut=1)]
    assert fetch(direct(server.put("/a", File(BODY, answers=cuts)))).read_bytes() == BODY
    assert server.sent["/a"] == len(BODY)
    assert [request.get("Range") for request in server.requests["/a"]] == [
        None,
        "bytes=100000-",
        "bytes=150001-",
        "bytes=150002-",
    ]


def test_waits_grow_until_bytes_arrive_again(server: Server, fetch: Obtain) -> None:
    answers = [Answer(cut=40_000), Answer(503), Answer(503), Answer(cut=40_000), Answer(503)]
    fetch(direct(server.put("/a", File(BODY, answers=answers))))
    assert [0.5 * due <= wait <= due for wait, due in zip(WAITS, (0.01, 0.02, 0.04, 0.01, 0.02), strict=True)] == [
        True
    ] * 5


def test_a_server_without_ranges_starts_anew(server: Server, fetch: Obtain) -> None:
    file = File(BODY, ranges=False, answers=[Answer(cut=200_000)])
    assert fetch(direct(server.put("/a", file))).read_bytes() == BODY
    assert server.sent["/a"] == 200_000 + len(BODY)


@pytest.mark.parametrize("sha", [sha256(OTHER).hexdigest(), None])
def test_a_file_that_changed_meanwhile_is_not_glued(server: Server, fetch: Obtain, sha: str | None) -> None:
    url = server.put("/a", File(BODY, always=Answer(cut=100_000)))
    with pytest.raises(UserError, match="attempts"):
        fetch(direct(url, sha), policy=Policy(attempts=1))
    server.put("/a", File(OTHER, etag='"2"'))
    assert fetch(direct(url, sha)).read_bytes() == OTHER


def test_a_file_that_became_shorter_is_fetched_anew(server: Server, fetch: Obtain) -> None:
    url = server.put("/a", File(BODY, etag="", always=Answer(cut=200_000)))
    short = make_zip(1000)
    with pytest.raises(UserError):
        fetch(direct(url), policy=Policy(attempts=1))
    server.put("/a", File(short, etag=""))
    assert fetch(direct(url, sha256(short).hexdigest())).read_bytes() == short


def test_glued_bytes_are_noticed_and_fetched_in_one_piece(server: Server, fetch: Obtain) -> None:
    """A server whose ETag stays the same although the file changed, or that sent wrong bytes at first."""
    file = File(BODY, answers=[Answer(body=OTHER, cut=100_000)])
    assert fetch(direct(server.put("/a", file))).read_bytes() == BODY
    assert server.sent["/a"] == 2 * len(BODY)


def test_without_validator_and_hash_nothing_is_joined(server: Server, fetch: Obtain) -> None:
    file = File(BODY, etag="", answers=[Answer(cut=100_000)])
    assert fetch(direct(server.put("/a", file), sha=None)).read_bytes() == BODY
    assert "Range" not in server.requests["/a"][1]


def test_a_weak_etag_proves_nothing_but_a_date_does(server: Server, fetch: Obtain) -> None:
    date = "Sat, 01 Nov 2025 10:00:00 GMT"
    file = File(BODY, etag='W/"1"', modified=date, answers=[Answer(cut=100_000)])
    fetch(direct(server.put("/a", file), sha=None))
    assert server.requests["/a"][1]["If-Range"] == date


def test_a_range_that_was_not_asked_for_is_not_used(server: Server, fetch: Obtain) -> None:
    wrong = Answer(headers={"Content-Range": f"bytes 5-{len(BODY) - 1}/{len(BODY)}"})
    file = File(BODY, answers=[Answer(cut=100_000), wrong])
    assert fetch(direct(server.put("/a", file))).read_bytes() == BODY


def test_another_mirror_goes_on_with_what_is_here_when_a_hash_will_judge(server: Server, fetch: Obtain) -> None:
    first = server.put("/a", File(BODY, answers=[Answer(cut=100_000)], always=Answer(404)))
    assert fetch(direct(first), direct(server.put("/b", File(BODY)))).read_bytes() == BODY
    assert (server.sent["/a"], server.sent["/b"]) == (100_015, len(BODY) - 100_000)  # 15: the page with the 404


def test_a_short_link_is_followed_and_resumed(server: Server, fetch: Obtain) -> None:
    there = server.put("/a", File(BODY, answers=[Answer(cut=100_000)]))
    link = server.put("/link", File(b"", always=Answer(302, {"Location": there})))
    assert fetch(direct(link)).read_bytes() == BODY
    assert server.sent["/a"] == len(BODY)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_told_in_bytes(
    server: Server, fetch: Obtain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setattr("zsad.common.progress.LOG_INTERVAL", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    fetch(direct(server.put("/a", File(BODY))))
    shown = capsys.readouterr().err
    assert "a.zip from 127.0.0.1" in shown
    assert "of 300.1 kB" in shown or terminal


def test_a_silent_server_is_cut_off_and_asked_again(server: Server, fetch: Obtain) -> None:
    url = server.put("/a", File(BODY, answers=[Answer(pause=0.6, piece=200_000)]))
    assert fetch(direct(url), policy=replace(HASTY, timeout=0.4)).read_bytes() == BODY
    assert server.requests["/a"][1]["Range"] == "bytes=200000-"


def test_a_trickling_server_is_given_up_for_the_next(server: Server, fetch: Obtain) -> None:
    url = server.put("/a", File(BODY, always=Answer(pause=0.05, piece=600)))
    policy = replace(HASTY, attempts=2, timeout=0.4, slowest=30_000)
    assert fetch(direct(url), direct(server.put("/b", File(BODY))), policy=policy).read_bytes() == BODY
    assert len(server.requests["/a"]) == 2


def test_a_killed_download_goes_on_without_reading_again_what_it_had(server: Server, tmp_path: Path) -> None:
    body = make_zip(3_000_000)
    url = server.put("/a", File(body, always=Answer(pause=0.004)))
    program = (
        "import sys; from pathlib import Path; from zsad.datasets.transport.transfer import Remote, obtain;"
        "remote = Remote('direct', url=sys.argv[1], file='a.zip', sha256=sys.argv[2]);"
        "obtain('d', [remote], Path('store'), Path('drop'), Path('lock.yaml'))"
    )
    command = [sys.executable, "-c", program, url, sha256(body).hexdigest()]
    part = tmp_path / "store/d/a.zip.part"
    running = subprocess.Popen(command, cwd=tmp_path)
    while not part.is_file() or part.stat().st_size < len(body) // 3:
        assert running.poll() is None
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    had = part.stat().st_size
    assert len(body) // 3 <= had < len(body)
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "store/d/a.zip").read_bytes() == body
    assert server.requests["/a"][1]["Range"] == f"bytes={had}-"
    assert server.sent["/a"] <= len(body) + PATIENT.chunk


# Answers that are wrong


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_leads_to_the_next_mirror_at_once(server: Server, fetch: Obtain, status: int) -> None:
    gone = server.put("/a", File(b"", always=Answer(status)))
    assert fetch(direct(gone), direct(server.put("/b", File(BODY)))).read_bytes() == BODY
    assert len(server.requests["/a"]) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_given_the_time_it_asks_for(server: Server, fetch: Obtain, status: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    answers = [Answer(status, {"Retry-After": value}) for value in ("7", date, "soon")]
    assert fetch(direct(server.put("/a", File(BODY, answers=answers)))).read_bytes() == BODY
    assert WAITS[0] == 7
    assert 90 < WAITS[1] <= 100
    assert WAITS[2] < 1


def test_a_server_that_asks_for_too_much_time_is_left(server: Server, fetch: Obtain) -> None:
    url = server.put("/a", File(BODY, always=Answer(429, {"Retry-After": "3600"})))
    with pytest.raises(UserError, match="asks to come back in 3600 s"):
        fetch(direct(url))
    assert not WAITS


def test_wrong_bytes_lead_to_the_next_mirror(server: Server, fetch: Obtain) -> None:
    assert fetch(direct(server.put("/a", File(OTHER))), direct(server.put("/b", File(BODY)))).read_bytes() == BODY
    assert len(server.requests["/a"]) == 1


def test_a_web_page_is_recognised_and_does_not_cost_what_was_fetched(server: Server, fetch: Obtain) -> None:
    page = Answer(body=b"\n<html><title>Quota exceeded</title></html>", headers={"Content-Range": "bytes 0-41/42"})
    file = File(BODY, ranges=False, answers=[Answer(cut=100_000), page], always=Answer(404))
    first, second = server.put("/a", file), server.put("/b", File(BODY))
    assert fetch(direct(first), direct(second)).read_bytes() == BODY
    assert server.sent["/b"] == len(BODY) - 100_000


def test_another_size_than_expected_is_refused_before_it_is_fetched(server: Server, fetch: Obtain) -> None:
    with pytest.raises(UserError, match=f"the server's file has {len(BODY)} bytes, expected 5"):
        fetch(direct(server.put("/a", File(BODY)), size=5))


def test_a_full_disk_is_noticed_before_anything_is_written(
    server: Server, fetch: Obtain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"store/d: the rest of a.zip needs 299.6 kB, but only 1.0 kB are free"):
        fetch(direct(server.put("/a", File(BODY))))
