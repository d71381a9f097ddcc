"""Cells as Ray tasks: the executor of `zsad repro --engine ray`, for clusters whose machines share a file system.

A task runs its job as the local executor of its machine does, so a worker of Ray that has run one that needs torch
forks the next warm. What the driver decides of the environment goes with the job.
"""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from zsad.common.errors import OUR_FAULT
from zsad.common.progress import log
from zsad.pipeline.grid.executors import GRACE, Job, LocalExecutor
from zsad.pipeline.grid.worker import KILLED, Main

POLL = 0.25  # seconds
GPUS = "CUDA_VISIBLE_DEVICES"


class RayExecutor:
    """`jobs` tasks at once, a core each; those that want a GPU have one, where the cluster has any (`gpus`).

    environment: that decides how a process computes, the same on each machine.
    """

    def __init__(self, main: Main, jobs: int, gpus: int, environment: Mapping[str, str]) -> None:
        import ray

        self._main = main
        self._jobs = jobs
        self._gpus = gpus
        self._environment = dict(environment)
        self._running: dict[Any, Job] = {}
        self._task = ray.remote(max_retries=0)(run_job)

    def has_room(self, job: Job) -> bool:
        with_gpu = sum(one.wants_gpu for one in self._running.values())
        return len(self._running) < self._jobs and not (self._gpus and job.wants_gpu and with_gpu >= self._gpus)

    def start(self, job: Job) -> None:
        gpus = 1 if self._gpus and job.wants_gpu else 0
        asked = self._task.options(name=job.name, num_cpus=1, num_gpus=gpus)
        self._running[asked.remote(self._main, job, self._environment, bool(self._gpus))] = job

    def ended(self, timeout: float) -> list[tuple[Job, int]]:
        import ray

        if not self._running:
            time.sleep(timeout)
            return []
        done, _ = ray.wait(list(self._running), num_returns=1, timeout=timeout)
        return [(job := self._running.pop(task), _code(task, job)) for task in done]

    def stop(self) -> None:
        import ray

        for task in self._running:
            ray.cancel(task)
        if self._running:
            _, left = ray.wait(list(self._running), num_returns=len(self._running), timeout=GRACE)
            for task in left:
                ray.cancel(task, force=True)
        self._running.clear()


def run_job(main: Main, job: Job, environment: Mapping[str, str], has_gpus: bool) -> int:
    """Inside a worker of Ray: the job's exit code, as `Executor.ended` gives it."""
    executor = _executor_here(main, tuple(environment.items()))
    given = os.environ.get(GPUS, "") if job.wants_gpu else ""
    own = replace(job, environment={**job.environment, **({GPUS: given} if has_gpus else {})})
    try:
        while not executor.has_room(own):
            time.sleep(POLL)
        executor.start(own)
        while not (ended := executor.ended(POLL)):
            pass
    finally:
        executor.stop()
    return ended[0][1]


@cache
def _executor_here(main: Main, environment: tuple[tuple[str, str], ...]) -> LocalExecutor:
    """One a process; libraries read the environment when they load."""
    os.environ.update(environment)
    return LocalExecutor(main, 1)


def _code(task: Any, job: Job) -> int:
    """Of an ended task; a worker or a machine that is gone counts as killed."""
    import ray

    try:
        return int(ray.get(task))
    except ray.exceptions.WorkerCrashedError:
        return -signal.SIGKILL
    except ray.exceptions.RayError as error:
        log(f"{job.name}: {error}")
        return KILLED if isinstance(error, ray.exceptions.TaskCancelledError) else OUR_FAULT
