"""One side as a process: `python -m zsad.pipeline.bench.against.process FOLDER ours|official`.

Turns go over its standard input and output; whatever a script prints goes to its standard error.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zsad.pipeline.bench.against.case import TRAINING, Case
from zsad.pipeline.bench.against.turns import GoneError, Turns, begin_peak, peak_of_process
from zsad.pipeline.bench.counting import counted

OURS, OFFICIAL = "ours", "official"


def main(folder: Path, who: str) -> int:
    """Run this side of the case in `folder`; what it found is in <who>.npz then."""
    tell = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    case, losses = Case.read(folder), recorded_losses()
    turns = Turns(sys.stdin, tell, counted=counted, **_meters(case.device))
    try:
        found = side_of(who, folder, case, turns)
    except GoneError:
        return 1
    if case.what == TRAINING:
        found = {"losses": np.array(losses)}
    np.savez(folder / f"{who}.npz", **found)
    return 0


def side_of(who: str, folder: Path, case: Case, turns: Turns) -> dict[str, Any]:
    """Run one side; the official one imports nothing of ours that computes."""
    if who == OURS:
        from zsad.pipeline.bench.against.ours import run

        return run(folder, case, turns)
    from zsad.pipeline.bench.against.repository import Run

    return Run(folder, case, turns).go()


def recorded_losses() -> list[float]:
    """A list to which every loss is added of which gradients are asked from here on."""
    losses: list[float] = []
    tensors: Any = torch.Tensor
    backward = tensors.backward

    def recorded(loss: torch.Tensor, *arguments: Any, **named: Any) -> None:
        losses.append(loss.item())
        backward(loss, *arguments, **named)

    tensors.backward = recorded
    return losses


def _meters(device: str) -> dict[str, Any]:
    """Clock and memory: on a GPU wall time and its own memory; on one thread of a CPU the processor's time."""
    if device == "cuda":
        return {
            "settled": torch.cuda.synchronize,
            "begin_peak": torch.cuda.reset_peak_memory_stats,
            "peak": lambda: torch.cuda.max_memory_allocated() / 2**20,
        }
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    return {"clock": clock, "begin_peak": begin_peak, "peak": peak_of_process}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
