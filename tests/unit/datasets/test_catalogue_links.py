"""The weekly look at the catalogue's addresses, against a local server."""

import pytest

from tests.helpers import catalogue_links
from tests.helpers.catalogue_links import Answer, Link, ask, ask_all, links, main, report
from tests.helpers.fetching import BODY
from tests.helpers.http_server import Answer as Reply
from tests.helpers.http_server import File, Server
from zsad.datasets.catalogue import catalogue

ZIP = File(BODY)


def asked(server: Server, file: File, name: str = "a.zip", size: int | None = None) -> Answer:
    return ask(Link(server.put("/a.zip", file), ("wood",), name, size), timeout=0.3, wait=0.01)


def test_every_source_of_the_catalogue_is_asked_once() -> None:
    found = links(catalogue())
    addresses = [link.address for link in found]
    assert len(addresses) == len(set(addresses))
    assert all(address.startswith(("http://", "https://")) for address in addresses)
    assert {name for link in found for name in link.entries} == set(catalogue())
    stated = {s.url for e in catalogue().values() for s in e.fetch if s.kind == "direct"}
    assert {link.address for link in found if link.file} == stated
    (archive,) = [link for link in found if link.address.endswith("VisA_20220922.tar")]
    assert archive.entries == ("visa",)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_archive_that_is_there_costs_its_first_bytes(server: Server, ranges: bool) -> None:
    answer = asked(server, File(BODY, ranges=ranges), size=len(BODY))
    assert (answer.gone, answer.unclear) == ("", "")
    assert server.requests["/a.zip"][0]["Range"] == "bytes=0-511"
    if ranges:
        assert server.sent["/a.zip"] == 512


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (File(BODY, always=Reply(404)), "HTTP 404 Not Found"),
        (File(b"<html>log in</html>"), "a web page (a login, a quota or an error?) instead of a zip archive"),
        (File(b""), "HTTP 416 Requested Range Not Satisfiable"),
        (File(BODY, always=Reply(pause=1.0, piece=8)), "no answer (ReadTimeoutError)"),
    ],
)
def test_what_is_gone_says_why(server: Server, file: File, why: str) -> None:
    assert asked(server, file).gone == why


def test_another_length_is_another_file(server: Server) -> None:
    assert asked(server, ZIP, size=7).gone == f"{len(BODY)} bytes, where the catalogue has 7"
    assert asked(server, File(BODY, ranges=False), size=7).gone == f"{len(BODY)} bytes, where the catalogue has 7"


def test_a_page_need_not_be_an_archive(server: Server) -> None:
    answer = asked(server, File(b"<html>fetch it here</html>"), name="")
    assert (answer.gone, answer.unclear) == ("", "")


@pytest.mark.parametrize("status", [403, 429])
def test_a_server_that_turns_programs_away_proves_nothing(server: Server, status: int) -> None:
    answer = asked(server, File(BODY, always=Reply(status)))
    assert answer.unclear.startswith(f"HTTP {status}")
    assert answer.gone == ""


def test_a_login_proves_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_links, "LOGINS", {"127.0.0.1"})
    assert asked(server, ZIP).unclear == "asks for a login"


def test_what_may_pass_is_asked_again(server: Server) -> None:
    assert asked(server, File(BODY, answers=[Reply(503), Reply(500)])).gone == ""
    assert asked(server, File(BODY, always=Reply(503))).gone == "HTTP 503 Service Unavailable"
    assert len(server.requests["/a.zip"]) == 3


def test_nobody_there() -> None:
    answer = ask(Link("http://127.0.0.1:9/a.zip", ("wood",), "a.zip"), timeout=0.3, wait=0.01)
    assert answer.gone == "no answer (ConnectionError)"


def test_the_report_and_the_exit_code(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        Link(server.put("/there.zip", ZIP), ("wood",), "there.zip"),
        Link(server.put("/gone.zip", File(BODY, always=Reply(410))), ("steel", "wood"), "gone.zip"),
        Link(server.put("/shut", File(BODY, always=Reply(401))), ("steel",)),
    ]
    monkeypatch.setattr(catalogue_links, "links", lambda entries: found)
    assert main() == 1
    told = capsys.readouterr().out
    assert "3 addresses: 1 answer, 1 gone, 1 unclear." in told
    assert f"### Gone\n\n- steel, wood: <{found[1].address}>: HTTP 410 Gone\n" in told
    assert f"### Unclear\n\n- steel: <{found[2].address}>: HTTP 401 Unauthorized\n" in told

    monkeypatch.setattr(catalogue_links, "links", lambda entries: [found[0], found[2]])
    assert main() == 0
    assert "### Gone" not in report(ask_all([found[0]]))
