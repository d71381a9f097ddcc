"""Licences that ask to be accepted: which ones the user has accepted, and when."""

from datetime import UTC, datetime
from pathlib import Path

import yaml

from zsad.common.errors import UserError
from zsad.common.io import write_text
from zsad.datasets.catalogue import Entry
from zsad.datasets.places import ACCEPTED


def accept(identifier: str, entry: Entry, record: Path = ACCEPTED) -> None:
    """Note that the licence of a published set is accepted; the first date stays."""
    accepted = _read(record)
    today = datetime.now(UTC).date().isoformat()
    accepted.setdefault(identifier, {"licence": entry.licence.id, "date": today})
    write_text(record, yaml.safe_dump(accepted, sort_keys=True, allow_unicode=True))


def is_accepted(identifier: str, entry: Entry, record: Path = ACCEPTED) -> bool:
    """Whether the set may be fetched: its licence asks for nothing, or this very licence was accepted."""
    return not entry.licence.accept or _read(record).get(identifier, {}).get("licence") == entry.licence.id


def require_accepted(identifier: str, entry: Entry, record: Path = ACCEPTED) -> None:
    """UserError that names the licence and the way to accept it, unless it is."""
    if not is_accepted(identifier, entry, record):
        note = f" ({entry.licence.note})" if entry.licence.note else ""
        raise UserError(
            f"{identifier}: the licence of {entry.title} must be accepted first: {entry.licence.id}{note}; "
            f"if you do, run `zsad fetch {identifier} --accept-licence {identifier}`"
        )


def _read(record: Path) -> dict[str, dict[str, str]]:
    if not record.is_file():
        return {}
    try:
        accepted = yaml.safe_load(record.read_text(encoding="utf-8")) or {}
        return {str(key): dict(value) for key, value in accepted.items()}
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{record}: not readable as id → licence, date ({error}); delete it and accept again"
        ) from error
