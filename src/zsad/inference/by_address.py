"""Pictures that a request names by address, `file:///…` or `https://…`: read only where the operator allows it.

The operator writes folders and hosts into ZSAD_PICTURES_FROM, as in a shell: `/data/line3 https://cameras.example`.
Nothing is allowed by default. What is refused is neither opened nor asked for, so the answer tells nothing about it.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from zsad.common.errors import UserError

if TYPE_CHECKING:
    import requests

VARIABLE = "ZSAD_PICTURES_FROM"
MAX_BYTES = 200_000_000  # of an encoded picture
MAX_REDIRECTS = 5
ANSWER_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]  # scheme, host, port


@dataclass(frozen=True)
class Allowed:
    """Folders, resolved, and origins of addresses from which pictures may be read."""

    folders: tuple[Path, ...] = ()
    origins: tuple[Origin, ...] = ()

    def read(self, address: str) -> bytes:
        """The encoded picture at an address; UserError when it is not allowed, or not to be had."""
        try:
            url = urlsplit(address)
            if url.scheme == "file":
                return self._read_file(url, address)
            return self._download(address)
        except ValueError as error:  # of urllib: brackets, a port that is no number
            raise UserError(f"{address}: not an address ({error})") from error

    def _read_file(self, url: SplitResult, address: str) -> bytes:
        path = Path(unquote(url.path)).resolve()  # `..` and links are gone after this
        if url.netloc not in ("", "localhost") or not any(path.is_relative_to(folder) for folder in self.folders):
            raise self._refusal(address)
        try:
            return _content(path, address)
        except OSError as error:
            raise UserError(f"{address}: cannot be read ({error.strerror})") from error

    def _download(self, address: str) -> bytes:
        """Each redirect is judged like the address itself."""
        import requests

        here = address
        with requests.Session() as session:
            session.trust_env = False  # neither a proxy nor a password from this machine's files
            for _ in range(MAX_REDIRECTS + 1):
                if not self._is_allowed(here):
                    raise self._refusal(address)
                try:
                    with session.get(here, allow_redirects=False, stream=True, timeout=ANSWER_SECONDS) as answer:
                        if not answer.is_redirect:
                            return _body(address, answer)
                        here = urljoin(here, answer.headers["location"])
                except requests.RequestException as error:
                    raise UserError(f"{address}: does not answer ({type(error).__name__})") from error
        raise UserError(f"{address}: more than {MAX_REDIRECTS} redirects")

    def _is_allowed(self, address: str) -> bool:
        return _origin(urlsplit(address)) in self.origins

    def _refusal(self, address: str) -> UserError:
        return UserError(
            f"{address}: not allowed here; send the encoded picture, or have the operator of this server add its folder"
            f" or host to {VARIABLE}"
        )


def allowed_by_operator() -> Allowed:
    """What ZSAD_PICTURES_FROM allows; UserError for an entry that is neither a folder that exists nor an origin."""
    folders, origins = [], []
    for entry in _entries(os.environ.get(VARIABLE, "")):
        try:
            url = urlsplit(entry)
            origin = _origin(url)
        except ValueError as error:
            raise UserError(f"{VARIABLE}: {entry}: not an address ({error})") from error
        if origin and url.path in ("", "/") and not (url.query or url.fragment):
            origins.append(origin)
        elif Path(entry).is_absolute() and Path(entry).is_dir():
            folders.append(Path(entry).resolve())
        else:
            raise UserError(f"{VARIABLE}: {entry}: neither an existing folder, written from the root, nor https://HOST")
    return Allowed(tuple(folders), tuple(origins))


def _entries(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"{VARIABLE}: {error}; quote it as in a shell") from error


def _origin(url: SplitResult) -> Origin | None:
    """Whom an address asks; None for what is no plain web address: passwords in it are refused, too."""
    if url.scheme not in PORTS or not url.hostname or "@" in url.netloc:
        return None
    return url.scheme, url.hostname, url.port or PORTS[url.scheme]


def _content(path: Path, address: str) -> bytes:
    """Of a plain file: a pipe or a device would wait, or never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{address}: no file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _within_limit(address, iter(lambda: file.read(1 << 20), b""))
    finally:
        os.close(descriptor)


def _body(address: str, answer: "requests.Response") -> bytes:
    if answer.status_code != 200:
        raise UserError(f"{address}: answers with status {answer.status_code}")
    return _within_limit(address, answer.iter_content(1 << 20))


def _within_limit(address: str, chunks: Iterator[bytes]) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > MAX_BYTES:
            raise UserError(f"{address}: larger than {MAX_BYTES:,} bytes")
    return bytes(content)
