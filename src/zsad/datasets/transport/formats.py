"""What kind of archive a file is, told by its first bytes: file names and servers' content types lie."""

import tarfile
from pathlib import Path

HEAD = 512  # bytes that decide: one block of a tar
MAGIC = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "rar": (b"Rar!\x1a\x07",),
    "xz": (b"\xfd7zXZ\x00",),
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZh",),
}
SUFFIXES = {
    ".zip": "zip",
    ".7z": "7z",
    ".rar": "rar",
    ".tar": "tar",
    ".xz": "xz",
    ".txz": "xz",
    ".gz": "gzip",
    ".tgz": "gzip",
    ".bz2": "bzip2",
    ".tbz2": "bzip2",
}


def read_head(path: Path) -> bytes:
    """The bytes of a file that `archive_format` needs."""
    with path.open("rb") as file:
        return file.read(HEAD)


def archive_format(head: bytes) -> str | None:
    """zip, 7z, rar, tar, xz, gzip or bzip2 (the last three usually hold a tar); None for anything else."""
    for name, beginnings in MAGIC.items():
        if head.startswith(beginnings):
            return name
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")  # checks its own checksum
    except tarfile.HeaderError:
        return None
    return "tar"


def wrong_content(name: str, head: bytes) -> str:
    """Why a file that begins with `head` is not the archive that its name promises; empty when it is."""
    found = archive_format(head)
    expected = SUFFIXES.get(Path(name).suffix.lower())
    if found and (expected is None or found == expected):
        return ""
    return f"{_description(found, head)} instead of {f'a {expected} archive' if expected else 'an archive'}"


def _description(found: str | None, head: bytes) -> str:
    if found:
        return f"a {found} file"
    if not head:
        return "an empty file"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:5].lower() in (b"<!doc", b"<html", b"<head", b"<?xml"):
        return "a web page (a login, a quota or an error?)"
    return "something else"
