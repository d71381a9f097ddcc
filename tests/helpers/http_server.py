"""A small HTTP server for tests: files with ranges and validators, faults on demand, and a count of what was sent."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR

PIECE = 1 << 14  # bytes written at once


@dataclass(frozen=True)
class Answer:
    """How one request is answered; the default is as a good server does.

    body: sent instead of the file. cut: bytes of the body after which the connection is closed.
    pause: seconds between two pieces of `piece` bytes.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: int | None = None
    pause: float = 0.0
    piece: int = PIECE


@dataclass
class File:
    """What lies at a path. `answers` serve one request each, then `always`. length: tell Content-Length."""

    body: bytes
    etag: str = '"1"'
    modified: str = ""
    ranges: bool = True
    length: bool = True
    answers: list[Answer] = field(default_factory=list)
    always: Answer = Answer()


class Server(ThreadingHTTPServer):
    """`files` by path; `sent` counts bytes of bodies, `requests` keeps the headers of every request, by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, File] = {}
        self.sent: Counter[str] = Counter()
        self.requests: dict[str, list[dict[str, str]]] = {}

    def put(self, path: str, file: File) -> str:
        """Serve `file` at `path`; its address."""
        self.files[path] = file
        self.requests[path] = []
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


@contextmanager
def serve() -> Iterator[Server]:
    """A server in threads of its own while the block runs."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        file = self.server.files[self.path]
        self.server.requests[self.path].append(dict(self.headers.items()))
        answer = file.answers.pop(0) if file.answers else file.always
        if answer.status != 200:
            self._send(answer.status, b"<html>no</html>", {"Content-Length": "15", **answer.headers}, answer)
            return
        body = file.body if answer.body is None else answer.body
        headers = {"ETag": file.etag, "Last-Modified": file.modified}
        first, last = self._asked_for(file, len(body))
        if first is not None and first >= len(body):
            self._send(416, b"", {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"}, answer)
            return
        status, rest = (200, body) if first is None else (206, body[first : last + 1])
        if first is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        if file.length:
            headers["Content-Length"] = str(len(rest))
        self._send(status, rest, {**headers, **answer.headers}, answer)

    def do_HEAD(self) -> None:
        file = self.server.files.get(self.path)
        headers = {"ETag": file.etag, "Content-Length": str(len(file.body)), **file.always.headers} if file else {}
        self._send(file.always.status if file else 404, b"", headers, Answer())

    def _asked_for(self, file: File, size: int) -> tuple[int | None, int]:
        """First and last byte of the range; the first is None where the whole file is to be sent."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range") in (None, file.etag, file.modified)
        if not (match and file.ranges and fresh):
            return None, size - 1
        return int(match[1]), min(int(match[2] or size), size - 1)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], answer: Answer) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(body[: answer.cut]), answer.piece):
            piece = body[: answer.cut][start : start + answer.piece]
            self.server.sent[self.path] += len(piece)  # before writing: a client that has all may look at once
            self.wfile.write(piece)
            time.sleep(answer.pause)
        if answer.cut is not None:
            with suppress(OSError):
                self.connection.shutdown(SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""
