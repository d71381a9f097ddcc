"""Where archives are kept, and how patient a download is. Loads no HTTP client: telling what is here is quick."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STORE = Path("data/downloads")
LOCK = Path("data/downloads.lock.yaml")
DROP = Path("data/drop")  # where users put what cannot be fetched


@dataclass(frozen=True)
class Policy:
    """How patient a download is. Times in seconds, amounts in bytes.

    attempts: failures in a row, with less than `progress` new bytes between them, after which an address is given up.
    timeout: without an answer, or with fewer than `slowest` bytes a second over that time, the connection is closed.
    longest_wait: a server that asks for more (Retry-After) is given up.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 300.0
    timeout: float = 60.0
    slowest: float = 1024.0
    chunk: int = 1 << 18
    progress: int = 1 << 20
    sleep: Callable[[float], None] = time.sleep


PATIENT = Policy()
