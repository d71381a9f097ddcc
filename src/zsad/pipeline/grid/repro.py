"""`zsad repro` from its arguments: how many jobs, on which GPUs, in which environment."""

import os
import time
from collections.abc import Sequence

from zsad.common.cluster import resources, start_ray
from zsad.common.cpu import cores, settings
from zsad.common.errors import UserError
from zsad.common.progress import log
from zsad.config.params import Params
from zsad.pipeline.grid.executors import Executor, LocalExecutor, visible_gpus
from zsad.pipeline.grid.expectations import Expectations
from zsad.pipeline.grid.loop import Grid, exit_code, summary
from zsad.pipeline.grid.ray_executor import RayExecutor
from zsad.pipeline.grid.stages import Stages
from zsad.pipeline.grid.worker import Main


def repro(
    params: Params,
    main: Main,
    targets: Sequence[str],
    jobs: int | None = None,
    keep_going: bool = False,
    on_ray: bool = False,
) -> int:
    """Bring the stages up to date; the exit code.

    main: the command line of zsad, which workers call; jobs: at once, default one a GPU, else one a core; on_ray: of a
    Ray cluster in place of this machine.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs}: at least 1")
    for name, value in settings(params.deterministic, params.threads).items():
        os.environ.setdefault(name, value)  # workers inherit it, and libraries read it when they load
    executor, count = (_on_ray if on_ray else _here)(params, main, jobs)
    started = time.monotonic()
    grid = Grid(Stages(targets), executor, Expectations(), count, keep_going)
    grid.run()
    log(summary(grid, time.monotonic() - started))
    return exit_code(grid.progress.failed) if grid.progress.failed else 0


def _here(params: Params, main: Main, jobs: int | None) -> tuple[Executor, int]:
    gpus = visible_gpus(params.device)
    count = jobs or len(gpus) or cores()
    return LocalExecutor(main, count, gpus), count


def _on_ray(params: Params, main: Main, jobs: int | None) -> tuple[Executor, int]:
    start_ray(max(jobs or 0, cores()))
    cpus, gpus = resources()
    usable = 0 if params.device == "cpu" else gpus
    count = jobs or usable or cpus
    environment = {name: os.environ[name] for name in settings(params.deterministic, params.threads)}
    return RayExecutor(main, count, usable, environment), count
