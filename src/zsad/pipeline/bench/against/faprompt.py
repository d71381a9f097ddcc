"""FAPrompt's repository: `test.py` and `train.py`, on AnomalyCLIP's library."""

from pathlib import Path
from typing import Any

from zsad.pipeline.bench.against import anomalyclip
from zsad.pipeline.bench.against.anomalyclip import renamed as renamed
from zsad.pipeline.bench.against.case import BATCH, PAPER_SIDE, Case
from zsad.pipeline.bench.against.repository import Edit, Run

HOME, COMMIT = "mala-lab/FAPrompt", "7e9d9d2aeb17648ae52374708ea95d3f8396cecc"
SIGMA = 10.0  # pixels, at any size


def settings(what: str, epochs: int, image_size: int) -> dict[str, Any]:
    """Of our learner."""
    return {"epochs": epochs, "train_batch_size": BATCH, "sigma": SIGMA * PAPER_SIDE / image_size}


def edits(case: Case) -> list[Edit]:
    """The width of text, and the number of blocks with V-V attention and one."""
    return [
        *anomalyclip.surgery(case, "DPAM_layer = 20", {"train.py": 2}),
        *anomalyclip.surgery(case, "DPAM_layer=20", {"test.py": 2}),
        Edit("FAPrompt.py", "768", str(case.width), 5),
        Edit("train.py", "zeros(768)", f"zeros({case.width})", 1),
    ]


def arguments(case: Case, folder: Path) -> dict[str, Any]:
    """Of the script."""
    return anomalyclip.arguments(case, folder)


def place(run: Run) -> None:
    """As AnomalyCLIP's."""
    anomalyclip.place_family(run)
    run.started_alike(run.load("FAPrompt"), "FAPrompt")
