"""Where raw data, archives and what is remembered of them lie. Loads nothing that reads them."""

from dataclasses import dataclass
from pathlib import Path

from zsad.datasets.transport.policy import DROP, LOCK, PATIENT, STORE, Policy

RAW = Path("data/raw")
ACCEPTED = Path("data/accepted_licences.yaml")


@dataclass(frozen=True)
class Places:
    """Where archives are kept, where the user puts them, what was seen and accepted before; and how patient to be."""

    store: Path = STORE
    drop: Path = DROP
    lock: Path = LOCK
    accepted: Path = ACCEPTED
    policy: Policy = PATIENT


HERE = Places()
