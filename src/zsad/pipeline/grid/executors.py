"""Where the commands of stages run. `Executor` is all that the loop knows; `LocalExecutor`: processes of this machine.

Jobs that need torch are forked from one process that has imported it, with open_clip and the methods, and has no thread
but its own (Python's forkserver, with `warm` preloaded). It is started when the first such job is due and takes some
seconds; until it is ready, and where none is due, other jobs start afresh (`spawn`), as all do where a system cannot
fork.
"""

import multiprocessing
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from zsad.pipeline.grid.worker import Main, nothing, work

PRELOADED = ["zsad.pipeline.grid.warm"]
GRACE = 10.0  # seconds that an interrupted worker has to end by itself


@dataclass(frozen=True)
class Job:
    """The command of one stage. loads_torch: so it starts warm; wants_gpu: computes on an accelerator, if there is one.

    environment: on top of this process's own.
    """

    name: str
    commands: Sequence[str]
    directory: str
    log: Path
    loads_torch: bool
    wants_gpu: bool
    environment: Mapping[str, str] = field(default_factory=dict)


class Executor(Protocol):
    """Runs jobs side by side."""

    def has_room(self, job: Job) -> bool:
        """Whether the job could start now."""

    def start(self, job: Job) -> None:
        """Start it; `has_room` was true."""

    def ended(self, timeout: float) -> list[tuple[Job, int]]:
        """Jobs that have ended, with their exit codes (−n: killed by signal n); waits for one, `timeout` seconds."""

    def stop(self) -> None:
        """Interrupt what runs, and wait until it has ended."""


class LocalExecutor:
    """`jobs` processes at once; on a machine with GPUs one for each of them, and jobs that want one have it alone.

    main: runs zsad's own commands inside a worker; warm: fork workers, where this system can.
    """

    def __init__(self, main: Main, jobs: int, gpus: Sequence[str] = (), warm: bool = True) -> None:
        self._main = main
        places: list[str | None] = [*gpus, *([None] * (jobs - len(gpus)))]
        self._free = places[:jobs]
        self._has_gpus = bool(gpus)
        self._running: dict[Any, tuple[Job, BaseProcess, str | None]] = {}
        self._nursery = Nursery(main.__module__) if warm and Nursery.possible() else None

    def has_room(self, job: Job) -> bool:
        if self._place(job.wants_gpu) is None:
            return False
        if self._nursery is None or not job.loads_torch:
            return True
        self._nursery.open()
        return self._nursery.ready

    def start(self, job: Job) -> None:
        index = self._place(job.wants_gpu)
        assert index is not None
        gpu = self._free.pop(index)
        own = {"CUDA_VISIBLE_DEVICES": gpu or ""} if self._has_gpus else {}
        job.log.parent.mkdir(parents=True, exist_ok=True)
        given = (self._main, job.commands, job.directory, job.log, {**job.environment, **own})
        process = self._context().Process(target=work, args=given, name=job.name)
        process.start()
        self._running[process.sentinel] = (job, process, gpu)

    def ended(self, timeout: float) -> list[tuple[Job, int]]:
        if not self._running:
            time.sleep(timeout)
        found = []
        for sentinel in wait(list(self._running), timeout):
            job, process, gpu = self._running.pop(sentinel)
            process.join()
            self._free.append(gpu)
            found.append((job, process.exitcode or 0))
            process.close()
        return found

    def stop(self) -> None:
        processes = [process for _, process, _ in self._running.values()]
        for process in processes:
            process.join(0.2)  # a terminal interrupts them as well
            if process.is_alive():
                process.terminate()
        for process in processes:
            process.join(GRACE)
            if process.is_alive():
                process.kill()
                process.join()
        self._running.clear()

    def _context(self) -> Any:
        return self._nursery.context if self._nursery and self._nursery.ready else multiprocessing.get_context("spawn")

    def _place(self, wants_gpu: bool) -> int | None:
        """Index of the free place to take: one without a GPU for jobs that need none, where there is one."""
        if wants_gpu and self._has_gpus:
            return next((i for i, gpu in enumerate(self._free) if gpu is not None), None)
        order = sorted(range(len(self._free)), key=lambda i: self._free[i] is not None)
        return order[0] if order else None


class Nursery:
    """The process that warm workers are forked from. `ready`: it has imported everything."""

    def __init__(self, *more: str) -> None:
        self.context: Any = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([*PRELOADED, *more])
        self._opened: threading.Thread | None = None
        self.ready = False

    @staticmethod
    def possible() -> bool:
        """Whether this system can fork."""
        return "forkserver" in multiprocessing.get_all_start_methods()

    def open(self) -> None:
        """Start it, once; returns at once."""
        if self._opened is None:
            self._opened = threading.Thread(target=self._wait, daemon=True)
            self._opened.start()

    def _wait(self) -> None:
        first = self.context.Process(target=nothing)  # forked when everything is imported
        first.start()
        first.join()
        self.ready = True


def visible_gpus(device: str) -> list[str]:
    """The GPUs that stages may use, as CUDA_VISIBLE_DEVICES names them; `device`: that of params.yaml."""
    if device == "cpu":
        return []
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    if shutil.which("nvidia-smi") is None:
        return []
    told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(number) for number, line in enumerate(line for line in told.splitlines() if line.startswith("GPU "))]
