"""Pictures through the frozen towers and all models that read them, batch by batch, into stored predictions.

All seeds are scored in one pass, so the image tower runs once per picture; a few-shot configuration has a model for
each category.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zsad.clip.backbone import ImageFeatures, encode_images
from zsad.clip.device import choose_device
from zsad.clip.inputs import iterate_images
from zsad.common.progress import progress
from zsad.common.seeding import seed_everything
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, Row
from zsad.inference.stored import PredictionInfo, PredictionWriter
from zsad.learners.base import Learner
from zsad.training import checkpoint
from zsad.training.record import Record

Models = Mapping[int, Mapping[str, Learner]]  # by seed and category ("" serves any), all on the same towers


def load_seeds(record: Record, params: Params) -> Models:
    """The models of every seed of a cell, on the device of params.yaml."""
    seed_everything(0, params.deterministic)
    models: dict[int, dict[str, Learner]] = {}
    device, clip = choose_device(params.device), None
    for seed in record.seeds:
        models[seed], _ = checkpoint.load_all(record.directory / f"seed_{seed}.safetensors", clip, device)
        clip = next(iter(models[seed].values())).clip
    return models


def predict_seeds(models: Models, record: Record, manifest: Manifest, params: Params, out: Path) -> None:
    """Score the test split of a dataset; `out` appears when all of it is there."""
    first = _any_of(models)
    info = PredictionInfo(
        learner=record.learner,
        method=record.method,
        protocol=record.protocol,
        source=record.training_set,
        shots=record.shots or 0,
        dataset=manifest.dataset,
        domain=manifest.domain,
        seeds=list(models),
        n_images=len(manifest.test),
        grid=first.map_grid,
        upsample=first.upsample,
        sigma=first.sigma,
        config_hash=record.config_hash,
        dataset_hash=manifest.hash,
        image_top=first.image_top,
        left_out=dict(record.left_out or {}),
    )
    with PredictionWriter(out, info) as writer:
        write_batches(models, manifest, writer, params.batch_size, params.precision)


def write_batches(models: Models, manifest: Manifest, writer: PredictionWriter, size: int, precision: str) -> None:
    """Predictions of the test split, `size` pictures at a time; that changes no score."""
    first, info = _any_of(models), writer.info
    paths = [manifest.root / row.path for row in manifest.test]
    batches = iterate_images(paths, first.clip.image_size, size, resize_first=info.protocol == "paper")
    for where, images in progress(batches, -(-len(paths) // size), f"{info.learner} on {manifest.dataset}"):
        features = encode_images(first.clip, images, first.spec, precision)
        rows = manifest.test[where.start : where.stop]
        for seed, by_category in models.items():
            scores, logits = _score(by_category, rows, features, info)
            writer.write(seed, where.start, scores, logits)


def _any_of(models: Models) -> Learner:
    return next(iter(next(iter(models.values())).values()))


def _score(
    by_category: Mapping[str, Learner], rows: Sequence[Row], features: ImageFeatures, info: PredictionInfo
) -> tuple[np.ndarray, np.ndarray]:
    """Scores [b] and maps [b, h, w] of a batch, each picture by the model of its category; 0 where there is none."""
    scores, logits = np.zeros(len(rows)), np.zeros((len(rows), *info.grid))
    for category, learner in by_category.items():
        picked = [i for i, row in enumerate(rows) if category in ("", row.category)]
        if picked:
            names = [rows[i].prompt_name for i in picked]
            own = features if len(picked) == len(rows) else features.select(picked)
            scored = learner.score(own, names, info.dataset)
            scores[picked] = scored.score.cpu().numpy()
            logits[picked] = scored.map_logits.cpu().numpy()
    return scores, logits
