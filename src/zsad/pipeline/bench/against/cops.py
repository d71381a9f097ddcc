"""CoPS' repository: `test.py` with the constants of MVTec AD as target, `train.py` with those of VisA as source."""

from pathlib import Path
from typing import Any

from zsad.pipeline.bench.against.case import BATCH, PAPER_SIDE, TRAINING, Case
from zsad.pipeline.bench.against.repository import Edit, Run

HOME, COMMIT = "cqylunlun/CoPS", "a3a41fcce10afd0e5c608c878ac8174c0ad426e3"
SIGMA = 4.0  # pixels, at any size


def settings(what: str, epochs: int, image_size: int) -> dict[str, Any]:
    """Of our learner."""
    return {"epochs": epochs, "train_batch_size": BATCH, "sigma": SIGMA * PAPER_SIDE / image_size}


def renamed(name: str) -> str:
    """What the official code calls a parameter that its checkpoints do not hold."""
    return name.replace("vae_encoder.hidden", "vae_encoder.net.0")


def edits(case: Case) -> list[Edit]:
    """The patch, which the training pools masks by, and the extractors' heads."""
    return [
        Edit("train.py", '"ViT-L/14@336px"', f'"ViT/{case.patch}@"', 1),
        Edit("lib/cops.py", "Prototype_Extractor(ctx_dim, 12)", f"Prototype_Extractor(ctx_dim, {case.width // 64})", 2),
    ]


def arguments(case: Case, folder: Path) -> dict[str, Any]:
    """Of the script."""
    shared = {"image_size": case.image_size, "features_list": [case.blocks], "dpam": case.blocks - case.vv_start}
    shared["depth"] = case.deep_sets
    if case.what == TRAINING:
        return {**shared, "dataset": "visa", "epoch": case.epochs, "batch_size": BATCH}
    return {**shared, "dataset": "mvtec", "checkpoint_path": folder / "official.pth"}


def place(run: Run) -> None:
    """Data, metrics, drawings, and the loader of OpenAI's file."""
    run.stand_in("datasets.getdata", Dataset=run.data_set)

    def record(results: Any, name: str, metric: str) -> float:
        run.record(results[name]["pred_pixel"], results[name]["pred_image"])
        return 0.5

    run.stand_in("utils.metrics", image_level_metrics=record, pixel_level_metrics=lambda *_: 0.5)
    run.load("utils.tools").visualizer = lambda *_: None
    library = run.load("lib")

    def load(name: str, device: str, design_details: Any) -> tuple[Any, None]:
        return run.load("lib.build_model").build_model(name, run.clip_state(), design_details).to(device), None

    library.load = load
    run.started_alike(run.load("lib.cops"), "PromptLearner")
