"""The training journal: what one train or adapt cell did, as JSON lines. MLflow runs are made, and remade, from it.

`data/journal/<KEY>/<SOURCE>.jsonl` is appended to and never rewritten. Each line is one event with its name in `event`
and the time in ms since 1970 in `time`:

    start   learner, source, method, protocol, config_hash, params {name: value or a mapping of such},
            tags {name: text}, dataset {name, hash, n_images}; of an adapt cell: shots, and the target as `source`
    epoch   seed, epoch, losses {name: float}, seconds, images_per_second; of an adapt cell: category, no speed
    system  any name: number
    end     checkpoints {seed: sha256}, wall_seconds

Other events are allowed and are for people reading the file.
"""

import errno
import hashlib
import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from zsad.common.errors import UserError
from zsad.common.io import canonical_json

JOURNAL_DIR = Path("data/journal")
MIB = 2**20


def journal_path(key: str, source: str, base: Path = JOURNAL_DIR) -> Path:
    """Where the journal of the train cell `key` on `source` lies."""
    return base / key / f"{source}.jsonl"


class Journal:
    """Appends events to a journal; what a killed process left of its last line is cut off first."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        _drop_torn_line(path)

    def append(self, event: str, **fields: Any) -> None:
        """Write one event in a single system call, so that concurrent writers cannot mix their lines."""
        line = canonical_json({"event": event, "time": now_ms(), **fields}) + "\n"
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(line.encode())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UserError(
                    f"{self.path}: no space left on the disk; free some and run the command again"
                ) from error
            raise


def read_events(path: Path) -> list[dict[str, Any]]:
    """All events of a journal, oldest first. A last line without its end is left out; any other damage is an error."""
    try:
        *lines, _torn = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such journal; `zsad train` writes it") from None
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
            events.append({**event, "event": event["event"], "time": event["time"]})
        except (ValueError, TypeError, KeyError) as error:
            remedy = "delete the file: the run is then rebuilt from its checkpoint, without losses"
            raise UserError(f"{path}, line {number}: not a journal event ({error!r}); {remedy}") from error
    return events


def now_ms() -> int:
    """Milliseconds since 1970, as MLflow counts time."""
    return time.time_ns() // 1_000_000


def system_sample() -> dict[str, float]:
    """Load of this process: CPU in % of one core since the last call, memory in MiB, GPU memory when one is in use."""
    process = _this_process()
    sample = {"cpu_percent": process.cpu_percent(), "rss_mib": process.memory_info().rss / MIB}
    torch = sys.modules.get("torch")  # never the reason for a slow import
    if torch is not None and torch.cuda.is_initialized():
        sample["gpu_mib"] = torch.cuda.memory_allocated() / MIB
        sample["gpu_peak_mib"] = torch.cuda.max_memory_allocated() / MIB
    return sample


@cache
def _this_process() -> psutil.Process:
    process = psutil.Process(os.getpid())
    process.cpu_percent()  # the first call only sets the reference
    return process


def lineage(root: Path = Path()) -> dict[str, str]:
    """Which code, data and pipeline stage this process belongs to, as tags; what cannot be known is left out.

    `git.dirty` leaves out the lock file and the metrics: a pipeline run rewrites them itself.
    """
    lock = root / "dvc.lock"
    dirty = _git(root, "status", "--porcelain", "--", ".", ":!dvc.lock", ":!metrics")
    facts = {
        "git.commit": _git(root, "rev-parse", "--verify", "HEAD"),
        "git.branch": _git(root, "symbolic-ref", "--short", "HEAD"),
        "git.dirty": None if dirty is None else str(bool(dirty)).lower(),
        "dvc.stage": os.environ.get("DVC_STAGE"),
        "dvc.exp": os.environ.get("DVC_EXP_NAME"),
        "dvc.lock.md5": hashlib.md5(lock.read_bytes(), usedforsecurity=False).hexdigest() if lock.is_file() else None,
    }
    return {name: value for name, value in facts.items() if value}


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command; None without git, outside a repository, or when git knows no answer."""
    try:
        result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _drop_torn_line(path: Path) -> None:
    try:
        with path.open("rb+") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    except FileNotFoundError:
        return
