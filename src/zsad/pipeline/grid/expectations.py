"""How long stages should take: what they took last, else what others of their kind took, else a guess."""

from collections.abc import Collection, Mapping
from pathlib import Path
from statistics import mean

from zsad.common.io import read_json, write_json

LOGS = Path("data/logs")
SECONDS = LOGS / "seconds.json"
GUESS = {"train": 40.0, "adapt": 20.0, "predict": 5.0, "adapt_trained": 20.0, "predict_few_shot": 5.0}
SHORT = 2.0


class Expectations:
    """Seconds by stage, kept from run to run in data/logs/seconds.json, which may be deleted."""

    def __init__(self, path: Path = SECONDS) -> None:
        self._path = path
        self._known: dict[str, float] = read_json(path) if path.is_file() else {}

    def learn(self, name: str, seconds: float) -> None:
        """It took this long."""
        self._known[name] = round(seconds, 1)

    def save(self) -> None:
        """Keep what was learned."""
        write_json(self._path, self._known)

    def of(self, name: str) -> float:
        """Seconds that a stage should take."""
        if name in self._known:
            return self._known[name]
        kind = name.partition("@")[0]
        alike = [seconds for other, seconds in self._known.items() if other.partition("@")[0] == kind]
        return mean(alike) if alike else GUESS.get(kind, SHORT)

    def longest_paths(self, upstream: Mapping[str, Collection[str]]) -> dict[str, float]:
        """Seconds from the start of each stage to the end of all that follow from it; `upstream` in running order."""
        after = dict.fromkeys(upstream, 0.0)
        for name in reversed(list(upstream)):
            for before in upstream[name]:
                after[before] = max(after[before], after[name] + self.of(name))
        return {name: seconds + self.of(name) for name, seconds in after.items()}
