"""What a run did, in words."""

from dataclasses import dataclass, field
from pathlib import Path

SHOWN = 20  # unreadable files that are told; the table has all


@dataclass
class Summary:
    """rows, anomalous: of the whole table (None: nobody labels); kept: were done before; failed: unreadable, now."""

    table: Path | str
    rows: int = 0
    anomalous: int | None = None
    kept: int = 0
    failed: int = 0
    reasons: list[str] = field(default_factory=list)
    pace: str = ""

    def add_failure(self, reason: str) -> None:
        """Count an unreadable file, and remember it if it is among the first."""
        self.failed += 1
        if len(self.reasons) < SHOWN:
            self.reasons.append(reason)

    @property
    def told(self) -> str:
        """In one line."""
        found = "" if self.anomalous is None else f", {self.anomalous} anomalous"
        kept = f"; {self.kept} were done before" if self.kept else ""
        return f"{self.table}: {self.rows} pictures{found} ({self.pace}{kept})"

    @property
    def complaint(self) -> str:
        """The unreadable files, one a line."""
        more = self.failed - len(self.reasons)
        told = [*self.reasons, *([f"and {more} more"] if more else [])]
        return "\n  ".join([f"{self.failed} of the pictures could not be read; {self.table} names them:", *told])
