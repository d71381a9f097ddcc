"""What the doctor says of one thing."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "later", "optional", "missing"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it stands, and the command or edit that mends it.

    level: ok; later: the pipeline brings it, `remedy` does so now; optional: only what `state` names
    needs it; missing: needed, and not to be had without the user.
    """

    what: str
    level: Level
    state: str
    remedy: str = ""

    @property
    def row(self) -> dict[str, str]:
        """A line of the table."""
        return {"what": self.what, "state": f"{self.level}: {self.state}", "remedy": self.remedy}
