"""Whether the addresses of the catalogue still answer: `python -m tests.helpers.catalogue_links`, weekly in CI.

Only the first bytes of a file are asked for. An archive must begin as its name says and be as long as the catalogue
says; a page must answer. Markdown on stdout; exit code 1 if an address is gone. A server that turns programs away (a
login, a limit) proves nothing, so that is told and fails nothing.
"""

import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from zsad.datasets.catalogue import Entry, Source, catalogue
from zsad.datasets.transport.download import PASSING
from zsad.datasets.transport.formats import HEAD, wrong_content
from zsad.datasets.transport.transfer import Remote

TIMEOUT = 30.0  # seconds without a byte
TRIES, WAIT = 3, 3.0  # of what may pass; seconds before the second, twice that before the third
HOSTS = 8  # asked side by side; one host gets one request at a time
REFUSED = {401, 403, 405, 429}  # somebody is there, but does not talk to programs
LOGINS = {"accounts.google.com"}  # where Google Drive sends those who may not see a file
HEADERS = {"User-Agent": "zsad", "Accept-Encoding": "identity", "Range": f"bytes=0-{HEAD - 1}"}


@dataclass(frozen=True)
class Link:
    """An address and the entries that name it. file: the archive that lies there; empty: it is a page for people."""

    address: str
    entries: tuple[str, ...]
    file: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Answer:
    """What an address said: why it is gone, or why that cannot be told; neither when all is well."""

    link: Link
    gone: str = ""
    unclear: str = ""


def links(entries: Mapping[str, Entry]) -> list[Link]:
    """All addresses, each once, in the order of the catalogue."""
    found: dict[str, Link] = {}
    for name, entry in entries.items():
        for source in entry.fetch:
            for link in _links(source):
                seen = found.get(link.address, link)
                names = tuple(dict.fromkeys((*seen.entries, name)))
                found[link.address] = Link(link.address, names, seen.file or link.file, seen.size or link.size)
    return list(found.values())


def _links(source: Source) -> Iterator[Link]:
    address = Remote(source.kind, source.url, source.id, source.dataset, page=source.page).address
    is_file = source.kind == "direct"
    yield Link(address, (), source.file if is_file else "", source.size if is_file else None)
    if source.page and source.page != address:
        yield Link(source.page, ())


def ask_all(every: Iterable[Link], timeout: float = TIMEOUT, wait: float = WAIT) -> list[Answer]:
    """An answer for each link, in their order."""
    hosts: dict[str, list[Link]] = {}
    for link in every:
        hosts.setdefault(urlsplit(link.address).netloc, []).append(link)
    with ThreadPoolExecutor(HOSTS) as pool:
        answers = pool.map(lambda some: [ask(link, timeout, wait) for link in some], hosts.values())
        by_address = {answer.link.address: answer for some in answers for answer in some}
    return [by_address[link.address] for some in hosts.values() for link in some]


def ask(link: Link, timeout: float = TIMEOUT, wait: float = WAIT) -> Answer:
    """Ask one address, again where the fault may pass."""
    for number in range(TRIES):
        if number:
            time.sleep(wait * number)
        answer, passing = _ask_once(link, timeout)
        if not passing:
            break
    return answer


def _ask_once(link: Link, timeout: float) -> tuple[Answer, bool]:
    """(answer, whether another attempt may end otherwise)."""
    try:
        with requests.get(link.address, headers=HEADERS, stream=True, timeout=timeout) as response:
            return _judged(link, response), response.status_code in PASSING
    except requests.TooManyRedirects:
        return Answer(link, gone="redirects without an end"), False
    except (requests.RequestException, HTTPError) as error:  # urllib3's own where the body breaks off
        return Answer(link, gone=f"no answer ({type(error).__name__})"), True


def _judged(link: Link, response: requests.Response) -> Answer:
    status = f"HTTP {response.status_code} {response.reason}".strip()
    if response.status_code in REFUSED:
        return Answer(link, unclear=status)
    if urlsplit(response.url).hostname in LOGINS:
        return Answer(link, unclear="asks for a login")
    if not response.ok:
        return Answer(link, gone=status)
    return Answer(link, gone=_wrong_file(link, response) if link.file else "")


def _wrong_file(link: Link, response: requests.Response) -> str:
    """Why the answer is not the archive; empty when it may be."""
    head = b""
    while len(head) < HEAD and (data := response.raw.read(HEAD - len(head))):
        head += data
    if problem := wrong_content(link.file, head):
        return problem
    whole = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    told = whole[1] if whole else response.headers.get("Content-Length", "") if response.status_code == 200 else ""
    if link.size and told.isdecimal() and int(told) != link.size:
        return f"{told} bytes, where the catalogue has {link.size}"
    return ""


def report(answers: Iterable[Answer]) -> str:
    """Markdown: counts, then what is gone and what cannot be told, with the entries that name it."""
    answers = list(answers)
    gone, unclear = [a for a in answers if a.gone], [a for a in answers if a.unclear]
    fine = len(answers) - len(gone) - len(unclear)
    counts = f"{len(answers)} addresses: {fine} answer, {len(gone)} gone, {len(unclear)} unclear."
    parts = ["## Links of the catalogue", counts]
    parts += _list("Gone", [(a.link, a.gone) for a in gone]) + _list("Unclear", [(a.link, a.unclear) for a in unclear])
    return "\n\n".join(parts) + "\n"


def _list(title: str, lines: list[tuple[Link, str]]) -> list[str]:
    told = "\n".join(f"- {', '.join(link.entries)}: <{link.address}>: {why}" for link, why in lines)
    return [f"### {title}\n\n{told}"] if lines else []


def main() -> int:
    """Ask, print, and tell by the exit code whether all are there."""
    answers = ask_all(links(catalogue()))
    print(report(answers))
    return int(any(answer.gone for answer in answers))


if __name__ == "__main__":
    sys.exit(main())
