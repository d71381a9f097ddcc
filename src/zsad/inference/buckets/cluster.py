"""Which part of a Ray cluster scores, and which reads for it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from zsad.common.cluster import resources, start_ray
from zsad.common.cpu import cores
from zsad.common.errors import UserError

SCORING, READING = 0.75, 0.25  # of a core: a worker and what reads for it share one (equal shares, and Ray fuses both)
RETRIES = "\nFailed to "  # what Ray adds below the message of an error in a task


@dataclass(frozen=True)
class Cluster:
    """workers: that hold a model; gpus, cpus: what the cluster has."""

    workers: int
    gpus: int
    cpus: int

    @property
    def scoring(self) -> dict[str, Any]:
        """Resources of the actors."""
        from ray.data import ActorPoolStrategy

        strategy = ActorPoolStrategy(size=self.workers)
        return {"compute": strategy, "num_cpus": SCORING, "num_gpus": 1 if self.gpus else 0}

    @property
    def reading(self) -> dict[str, Any]:
        """Resources of the tasks: as many as workers, or whatever cores GPUs leave."""
        from ray.data import TaskPoolStrategy

        strategy = TaskPoolStrategy(size=max(self.workers, self.cpus if self.gpus else 0))
        return {"compute": strategy, "num_cpus": READING}


@contextmanager
def joined(workers: int | None) -> Iterator[Cluster]:
    """A cluster for so many workers, default one a GPU, else one a core; UserError where it has no room for them."""
    started = start_ray(max(workers or 0, cores()))
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # its import has set another
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # else Ray's own wraps it, without its cause
    try:
        cpus, gpus = resources()
        count = workers or gpus or cpus
        if count > (gpus or cpus):
            raise UserError(
                f"--workers {count}: the cluster has {cpus} cores and {gpus} GPUs; one a GPU, or one a core"
            )
        yield Cluster(count, gpus, cpus)
    finally:
        if started:
            ray.shutdown()


def user_error(error: BaseException) -> UserError | None:
    """The user's error that one of Ray comes from, if it does."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(cause := getattr(found, "cause", found), UserError):
            return UserError(str(cause).partition(RETRIES)[0].rstrip())
        found = found.__cause__
    return None
