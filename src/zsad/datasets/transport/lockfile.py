"""Trust on first use: hashes of downloads for which nobody publishes one, kept from the first time they were seen.

A YAML file, dataset → file name → what was seen; made to be committed and read by people.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from zsad.common.errors import UserError
from zsad.common.io import write_text

HEADER = """\
# Written by `zsad fetch`: downloads without a published checksum, as first seen. Later ones must be equal.
# To accept a changed file, check it and delete its entry here.
"""


@dataclass(frozen=True)
class Seen:
    """One file as it was first seen; size in bytes, `url` says where it came from, `date` is ISO 8601."""

    sha256: str
    size: int
    url: str
    date: str


def recall(lock: Path, key: str, file: str) -> Seen | None:
    """What `lock` says of `file` of dataset `key`; None when it says nothing."""
    entry = _read(lock).get(key, {}).get(file)
    return Seen(**entry) if entry else None


def record(lock: Path, key: str, file: str, seen: Seen) -> None:
    """Add an entry; safe when several fetches write at once."""
    with _alone(lock):
        entries = _read(lock)
        entries.setdefault(key, {})[file] = asdict(seen)
        write_text(lock, HEADER + yaml.safe_dump(entries, sort_keys=True, allow_unicode=True, width=200))


def _read(lock: Path) -> dict[str, dict[str, Any]]:
    if not lock.is_file():
        return {}
    try:
        entries = yaml.safe_load(lock.read_text(encoding="utf-8")) or {}
        for files in entries.values():
            for entry in files.values():
                Seen(**entry)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise UserError(
            f"{lock}: not readable as dataset → file → sha256, size, url, date ({error}); restore it from Git"
        ) from error
    return dict(entries)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock.parent / f".{lock.name}.busy"):
        yield
