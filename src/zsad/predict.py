"""The `predict` stage: checkpoints + the test split of a dataset → image scores and anomaly maps.

All seeds are scored in one pass, so the frozen image tower runs once per image; a few-shot configuration has a model
for each category. Only this stage needs the accelerator; `score` turns what it writes into metrics.
"""

from collections.abc import Sequence

import numpy as np
import torch

from zsad import checkpoint
from zsad.cells import CHECKPOINTS, PREDICTIONS, read_record, training_set
from zsad.clip.backbone import ImageFeatures
from zsad.config import Configuration, Params
from zsad.datasets.images import iterate_images
from zsad.datasets.leaks import check_leaks
from zsad.datasets.manifest import Manifest, Row, load_manifest
from zsad.errors import UserError
from zsad.learners.base import Learner
from zsad.predictions import PredictionInfo, PredictionWriter
from zsad.progress import progress
from zsad.seeding import seed_everything
from zsad.source_data import encode_images


def predict_dataset(params: Params, key: str, dataset: str, device: torch.device) -> None:
    """Score the test split of `dataset` with every seed of `key`; writes data/predictions/<key>/<dataset>."""
    seed_everything(0, params.deterministic)
    configuration = params.configuration(key)
    manifest = load_manifest(dataset)
    if not manifest.test:
        raise UserError(f"params.yaml: datasets.{dataset}: has no test images to score")
    record = read_record(key, configuration.source_for(params, dataset))
    check_leaks(CHECKPOINTS / record["learner"] / record["source"], configuration.protocol, manifest)
    models = _load_seeds(record, device)
    info = _info(configuration, manifest, record, next(iter(next(iter(models.values())).values())))
    with PredictionWriter(PREDICTIONS / key / dataset, info) as writer:
        _score_all(params, manifest, models, writer, resize_first=configuration.protocol == "paper")


def _load_seeds(record: dict, device: torch.device) -> dict[int, dict[str, Learner]]:
    """Learners of each seed by category ("" serves any), all on the same towers."""
    directory = CHECKPOINTS / record["learner"] / record["source"]
    models: dict[int, dict[str, Learner]] = {}
    clip = None
    for seed in record["seeds"]:
        models[seed], _ = checkpoint.load_all(directory / f"seed_{seed}.safetensors", clip, device)
        clip = next(iter(models[seed].values())).clip
    return models


def _info(configuration: Configuration, manifest: Manifest, record: dict, learner: Learner) -> PredictionInfo:
    return PredictionInfo(
        learner=configuration.key,
        method=configuration.method,
        protocol=configuration.protocol,
        source=training_set(record),
        shots=configuration.shots,
        dataset=manifest.dataset,
        seeds=record["seeds"],
        n_images=len(manifest.test),
        grid=learner.map_grid,
        upsample=learner.upsample,
        sigma=learner.sigma,
        config_hash=record["config_hash"],
        dataset_hash=manifest.hash,
        image_top=learner.image_top,
        left_out=record.get("left_out", {}),
    )


def _score_all(
    params: Params,
    manifest: Manifest,
    models: dict[int, dict[str, Learner]],
    writer: PredictionWriter,
    resize_first: bool,
) -> None:
    first = next(iter(next(iter(models.values())).values()))
    paths = [manifest.root / row.path for row in manifest.test]
    batches = iterate_images(paths, first.clip.image_size, params.batch_size, resize_first)
    label = f"{writer.info.learner} on {manifest.dataset}"
    for where, images in progress(batches, -(-len(paths) // params.batch_size), label):
        features = encode_images(first.clip, images, first.spec, params.precision)
        rows = manifest.test[where.start : where.stop]
        for seed, by_category in models.items():
            scores, logits = _score_batch(by_category, rows, features, writer.info)
            writer.write(seed, where.start, scores, logits)


def _score_batch(
    by_category: dict[str, Learner], rows: Sequence[Row], features: ImageFeatures, info: PredictionInfo
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
