"""A file that is still on its way: its bytes so far, and beside them a note of where they came from."""

from dataclasses import asdict, dataclass
from pathlib import Path

from zsad.common.errors import UserError
from zsad.common.io import read_json, write_json


@dataclass(frozen=True)
class Origin:
    """Where the bytes of a partial file came from.

    validator: strong ETag or Last-Modified, empty when the server gives none. total: size in bytes of the whole file.
    """

    url: str
    validator: str
    total: int | None


class Partial:
    """`<file>.part` and `<file>.part.json` in `folder`; both outlive a killed process."""

    def __init__(self, folder: Path, file: str) -> None:
        self.file = file
        self.path = folder / f"{file}.part"
        self.joined = False  # whether the bytes came in several answers
        self._note = folder / f"{file}.part.json"

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def origin(self) -> Origin | None:
        """Where the bytes came from; None when there are none, or none whose origin is known."""
        if not self.size or not self._note.is_file():
            return None
        try:
            return Origin(**read_json(self._note))
        except (UserError, TypeError):  # half a note, or another version's: the bytes cannot be used
            return None

    def begin(self, origin: Origin, head: bytes) -> None:
        """Start anew with the first bytes."""
        self.discard()  # first, so that old bytes never stand beside a new note
        write_json(self._note, asdict(origin))
        self.path.write_bytes(head)
        self.joined = False

    def discard(self) -> None:
        """Forget the bytes."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """Put the file, now whole, at `target`."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)
