"""AnomalyCLIP's repository: `test.py` and `train.py`, last block of patches alone, as its shell scripts ask."""

from pathlib import Path
from typing import Any

import packaging.version

from zsad.pipeline.bench.against.case import BATCH, PAPER_SIDE, TRAINING, Case
from zsad.pipeline.bench.against.repository import Edit, Run

HOME, COMMIT = "zqhang/AnomalyCLIP", "45ed4dd35c05797d854294b5e8d585c545920089"
LEARNER = ("prompt_ensemble", "AnomalyCLIP_PromptLearner")
SIGMA = 4.0  # pixels, at any size


def settings(what: str, epochs: int, image_size: int) -> dict[str, Any]:
    """Of our learner."""
    return {"epochs": epochs, "train_batch_size": BATCH, "sigma": SIGMA * PAPER_SIDE / image_size}


def renamed(name: str) -> str:
    """What the official code calls a parameter that its checkpoints do not hold."""
    return name


def edits(case: Case) -> list[Edit]:
    """The number of blocks with V-V attention, and one."""
    return surgery(case, "DPAM_layer = 20", {"train.py": 3, "test.py": 2})


def surgery(case: Case, written: str, counts: dict[str, int]) -> list[Edit]:
    """`written` in these files, of which 20 becomes that number."""
    new = written.replace("20", str(case.blocks - case.vv_start + 1))
    return [Edit(file, written, new, count) for file, count in counts.items()]


def arguments(case: Case, folder: Path) -> dict[str, Any]:
    """Of the script."""
    shared = {"dataset": "mvtec", "image_size": case.image_size, "features_list": [case.blocks]}
    shared |= {"depth": case.deep_sets + 1, "save_path": "./results"}
    if case.what == TRAINING:
        return {**shared, "epoch": case.epochs, "batch_size": BATCH}
    return {**shared, "checkpoint_path": folder / "official.pth"}


def place(run: Run) -> None:
    """Data, metrics, and the loader of OpenAI's file; what is imported and not used."""
    place_family(run)
    run.started_alike(run.load(LEARNER[0]), LEARNER[1])


def place_family(run: Run) -> None:
    """What FAPrompt's repository has in common."""
    run.stand_in("thop")
    run.stand_in("pkg_resources", packaging=packaging)
    run.stand_in("iopath.common.file_io")
    run.stand_in("dataset", Dataset=run.data_set)
    run.stand_in("visualization", visualizer=None)
    recorder = _recorder(run)
    run.stand_in("metrics", image_level_metrics=recorder, pixel_level_metrics=recorder)
    library = run.load("AnomalyCLIP_lib")

    def load(name: str, device: str, design_details: Any) -> tuple[Any, None]:
        build = run.load("AnomalyCLIP_lib.build_model").build_model
        return build(name, run.clip_state(), design_details).to(device), None

    library.load = load


def _recorder(run: Run) -> Any:
    def record(results: Any, name: str, metric: str) -> float:
        run.record(results[name]["anomaly_maps"], results[name]["pr_sp"])
        return 0.5

    return record
