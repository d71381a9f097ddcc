"""Bayes-PFL's repository: `test.py` with the image classifier, and the first stage of `train.py`, never validated.

Its augmentation belongs to its data set, and is left out on both sides.
"""

import math
from pathlib import Path
from typing import Any

import packaging.version
import torch
from scipy.ndimage import gaussian_filter

from zsad.pipeline.bench.against.case import BATCH, PAPER_SIDE, TRAINING, Case
from zsad.pipeline.bench.against.repository import Edit, Loader, Run

HOME, COMMIT = "xiaozhen228/Bayes-PFL", "8f155a07e734913e021c33c469f16a1f75c60e5d"
SIGMA = 8.0  # pixels, at any size; its metrics smooth all maps after the loop


def settings(what: str, epochs: int, image_size: int) -> dict[str, Any]:
    """Of our learner."""
    own = {"epochs": epochs, "train_batch_size": BATCH, "sigma": SIGMA * PAPER_SIDE / image_size, "augmented_views": 0}
    return {**own, "classifier_epochs": 0} if what == TRAINING else own


def renamed(name: str) -> str:
    """What the official code calls a parameter that its checkpoints do not hold."""
    return name


def edits(case: Case) -> list[Edit]:
    """The block whose attention is kept, and where to; sizes it asks of a file."""
    return [
        Edit("models/transformer.py", "if idx == 12:", f"if idx == {min(12, case.blocks)}:", 1),
        Edit("models/transformer.py", "torch.zeros([H, H]).to('cuda')", f"torch.zeros([H, H]).to('{case.device}')", 1),
    ]


def arguments(case: Case, folder: Path) -> dict[str, Any]:
    """Of the script."""
    shared = {"image_size": case.image_size, "features_list": case.layers, "device_id": 0, "save_path": "./results"}
    shared |= {"config_path": folder / "clip.json", "pretrained_path": folder / "clip.pth"}
    if case.what == TRAINING:
        return {**shared, "epochs": case.epochs, "batch_size": BATCH}
    return {**shared, "checkpoint_path": folder / "official.pth"}


def place(run: Run) -> None:
    """Data, metrics, validation, and a package of which it takes one formula."""

    class Makedataset:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def mask_dataset(self, *_: Any, **__: Any) -> tuple[Loader, list[str]]:
            return Loader(run), ["object"]

    def record(results: Any, *_: Any, **__: Any) -> None:
        run.record([gaussian_filter(one, sigma=SIGMA) for one in results["anomaly_maps"]], results["pr_sp"])

    Path("models").symlink_to(run.repository / "models")  # it reads its tokenizer's file from where it is started
    run.stand_in("pkg_resources", packaging=packaging)
    run.stand_in("open_clip_local", __path__=[])
    run.stand_in("transformers", get_cosine_schedule_with_warmup=_cosine)
    run.stand_in("datasets", Makedataset=Makedataset)
    run.stand_in("models.evaluate", evaluate_pre=lambda *_: (0.5, 0.5))
    run.stand_in("models.metric_and_visualization", calcuate_metric_pixel=record, calcuate_metric_image=record)
    run.load("models.transformer")
    run.started_alike(run.load("models.VPB"), "Context_Prompting")


def _cosine(optimizer: Any, num_warmup_steps: int, num_training_steps: int) -> Any:
    """Linear warm-up, then half a cosine."""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return step / num_warmup_steps
        done = (step - num_warmup_steps) / max(1, num_training_steps - num_warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * done))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
