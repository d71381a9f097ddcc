"""`zsad repro` from its arguments: how many jobs, on which GPUs, in which environment."""

import os
import time
from collections.abc import Sequence

from zsad.common.cpu import cores, settings
from zsad.common.errors import UserError
from zsad.common.progress import log
from zsad.config.params import Params
from zsad.pipeline.grid.executors import LocalExecutor, visible_gpus
from zsad.pipeline.grid.expectations import Expectations
from zsad.pipeline.grid.loop import Grid, exit_code, summary
from zsad.pipeline.grid.stages import Stages
from zsad.pipeline.grid.worker import Main


def repro(params: Params, main: Main, targets: Sequence[str], jobs: int | None = None, keep_going: bool = False) -> int:
    """Bring the stages up to date; the exit code.

    main: the command line of zsad, which workers call; jobs: at once, default one a GPU, else one a core.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs}: at least 1")
    for name, value in settings(params.deterministic, params.threads).items():
        os.environ.setdefault(name, value)  # workers inherit it, and libraries read it when they load
    gpus = visible_gpus(params.device)
    count = jobs or len(gpus) or cores()
    started = time.monotonic()
    grid = Grid(Stages(targets), LocalExecutor(main, count, gpus), Expectations(), count, keep_going)
    grid.run()
    log(summary(grid, time.monotonic() - started))
    return exit_code(grid.progress.failed) if grid.progress.failed else 0
