"""One file from one address over HTTP: resumed where it broke off, tried again with growing waits.

Resuming follows RFC 9110, sections 13.1.5 (If-Range), 14.2 (Range) and 14.4 (Content-Range).
"""

import random
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
import urllib3

from zsad.common.io import full_disk_named
from zsad.common.progress import log
from zsad.datasets.transport.disk_space import require_space
from zsad.datasets.transport.formats import HEAD, wrong_content
from zsad.datasets.transport.meter import byte_meter
from zsad.datasets.transport.partial import Origin, Partial
from zsad.datasets.transport.policy import PATIENT, Policy

PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses after which the same request may succeed
HOPELESS = (
    requests.exceptions.SSLError,
    requests.exceptions.TooManyRedirects,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)


class DownloadError(Exception):
    """An address is given up; the text says why."""


class _InterruptionError(Exception):
    """An attempt failed in a way that may pass; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Download:
    """`url` into `partial`.

    size: what the whole must have, in bytes, when known. hashed: whether the whole will be judged by a known hash;
    only then may bytes be joined for which the server gives no proof that they belong together.
    """

    url: str
    partial: Partial
    size: int | None = None
    hashed: bool = False
    policy: Policy = PATIENT

    def run(self) -> None:
        """Fetch what is missing. DownloadError when that is hopeless; the bytes so far stay for a later run."""
        failures, furthest = 0, self.partial.size
        while True:
            try:
                return self._attempt()
            except _InterruptionError as interruption:
                failures = 1 if self.partial.size >= furthest + self.policy.progress else failures + 1
                furthest = max(furthest, self.partial.size)
                self._wait(failures, interruption)

    def _wait(self, failures: int, interruption: _InterruptionError) -> None:
        if failures >= self.policy.attempts:
            raise DownloadError(f"{interruption}; given up after {failures} attempts")
        if interruption.wait > self.policy.longest_wait:
            raise DownloadError(f"{interruption}; the server asks to come back in {interruption.wait:.0f} s")
        backoff = min(self.policy.first_wait * 2 ** (failures - 1), self.policy.longest_wait)
        wait = max(interruption.wait, backoff * random.uniform(0.5, 1.0))  # spread: others were cut off as well
        log(f"{self.partial.file}: {interruption}; trying again in {wait:.0f} s")
        self.policy.sleep(wait)

    def _attempt(self) -> None:
        origin = self._resumable()
        if origin and origin.total == self.partial.size:
            return
        headers = self._headers(origin)
        try:
            with requests.get(self.url, headers=headers, stream=True, timeout=self.policy.timeout) as response:
                self._receive(response, origin)
        except HOPELESS as error:
            raise DownloadError(_cause(error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _InterruptionError(_cause(error)) from error

    def _resumable(self) -> Origin | None:
        """Where the bytes so far came from, if they may be continued from this address."""
        origin = self.partial.origin
        proven = origin and origin.url == self.url and origin.validator
        return origin if proven or self.hashed else None

    def _headers(self, origin: Origin | None) -> dict[str, str]:
        headers = {"User-Agent": "zsad", "Accept-Encoding": "identity"}  # the file as stored, or ranges mean nothing
        if origin:
            headers["Range"] = f"bytes={self.partial.size}-"
            if origin.url == self.url and origin.validator:
                headers["If-Range"] = origin.validator
        return headers

    def _receive(self, response: requests.Response, origin: Origin | None) -> None:
        if response.status_code == 206 and origin:
            self._continue(response, origin)
        elif response.status_code == 416 and origin:
            self._compare(response)
        elif response.status_code == 200:
            self._start(response)
        elif response.status_code in PASSING:
            raise _InterruptionError(f"HTTP {response.status_code} {response.reason}", _retry_after(response))
        else:
            raise DownloadError(f"HTTP {response.status_code} {response.reason}")

    def _continue(self, response: requests.Response, origin: Origin) -> None:
        """The rest of the file: it must begin where the bytes here end, and the whole be as large as it was."""
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        total = int(match[2]) if match and match[2] != "*" else origin.total
        if not match or int(match[1]) != self.partial.size or (origin.total and total != origin.total):
            self.partial.discard()
            raise _InterruptionError("the server sent another part of the file than asked for")
        self.partial.joined = True
        self._append(response, total)

    def _compare(self, response: requests.Response) -> None:
        """Nothing follows the bytes here: either they are the whole file, or the file has become shorter."""
        if response.headers.get("Content-Range") != f"bytes */{self.partial.size}":
            self.partial.discard()
            raise _InterruptionError("the server's file has changed")

    def _start(self, response: requests.Response) -> None:
        """The whole file: its beginning is looked at before anything that was here is given up."""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        head = b""
        while len(head) < HEAD and (data := response.raw.read1(HEAD - len(head), decode_content=False)):
            head += data
        if problem := wrong_content(self.partial.file, head):
            raise DownloadError(f"got {problem}")
        if self.size and total and total != self.size:
            raise DownloadError(f"the server's file has {total} bytes, expected {self.size}")
        self.partial.begin(Origin(self.url, _validator(response), total), head)
        self._append(response, total)

    def _append(self, response: requests.Response, total: int | None) -> None:
        size, path = self.partial.size, self.partial.path
        require_space(path.parent, (total or size) - size, f"the rest of {self.partial.file}")
        since, received = time.monotonic(), 0
        with (
            full_disk_named(path),
            path.open("ab", buffering=0) as file,  # unbuffered: a killed process loses nothing of what it received
            byte_meter(f"{self.partial.file} from {_host(self.url)}", total, size) as meter,
        ):
            while data := response.raw.read1(self.policy.chunk, decode_content=False):
                file.write(data)
                meter.advance(len(data))
                received += len(data)
                if time.monotonic() - since > self.policy.timeout:
                    if received < self.policy.slowest * self.policy.timeout:
                        raise _InterruptionError(f"fewer than {self.policy.slowest:.0f} bytes a second")
                    since, received = time.monotonic(), 0
        if total is not None and self.partial.size != total:
            raise _InterruptionError(f"{self.partial.size} of {total} bytes arrived")


def _host(url: str) -> str:
    return urllib3.util.parse_url(url).host or url


def _validator(response: requests.Response) -> str:
    """What proves that two answers are of one file; weak ETags (W/…) do not."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _retry_after(response: requests.Response) -> float:
    """Retry-After in seconds (RFC 9110, section 10.2.3: a number or a date); 0 when absent or nonsense."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # nonsense, or a date without zone
        return 0.0


def _cause(error: Exception) -> str:
    """One readable line for the network's nested errors."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", inner)
    return f"connection failed ({reason.args[0] if isinstance(reason, Exception) and reason.args else reason})"
