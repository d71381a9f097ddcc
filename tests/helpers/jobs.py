"""Jobs for tests of executors, and what becomes of them."""

import time
from pathlib import Path

from zsad.pipeline.grid.executors import Executor, Job


def job(tmp_path: Path, name: str, *commands: str, gpu: bool = False, torch: bool = False) -> Job:
    environment = {"TOLD": "by the job"}
    return Job(name, commands, str(tmp_path), tmp_path / f"logs/{name}.log", torch, gpu, environment)


def finish(executor: Executor, count: int) -> dict[str, int]:
    """Exit codes of so many jobs, when they have ended."""
    codes: dict[str, int] = {}
    deadline = time.monotonic() + 120
    while len(codes) < count:
        assert time.monotonic() < deadline
        codes |= {ended.name: code for ended, code in executor.ended(0.2)}
    return codes
