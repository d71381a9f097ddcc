"""Pictures through the frozen towers and all models that read them, batch by batch, into stored predictions.

All seeds are scored in one pass, and once more under each other naming of the classes, so the image tower runs once per
picture; a few-shot configuration has a model for each category.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from zsad.clip.backbone import Clip, ImageFeatures
from zsad.clip.device import choose_device
from zsad.clip.inputs import iterate_images
from zsad.common.errors import UserError
from zsad.common.seeding import seed_everything
from zsad.config.params import Params
from zsad.datasets.class_names import FOLDER
from zsad.datasets.manifest import Manifest, Row
from zsad.inference.stored import PredictionInfo, PredictionWriter
from zsad.learners.base import Learner
from zsad.training import checkpoint
from zsad.training.feature_store import FeatureStore, shared_stores
from zsad.training.others import Others, read_in_prediction
from zsad.training.passes import Pass
from zsad.training.record import Record
from zsad.training.stored_features import feature_batches

Models = Mapping[int, Mapping[str, Learner]]  # by seed and category ("" serves any), all on the same towers


@dataclass(frozen=True)
class Task:
    """Models, the pictures with the names that they are told, and where the predictions go."""

    models: Models
    manifest: Manifest
    writer: PredictionWriter


def load_seeds(record: Record, params: Params, naming: str = "", clip: Clip | None = None) -> Models:
    """The models of every seed of a cell, on the device of params.yaml; `clip`: reuse these towers.

    naming: those that were adapted with the class called so.
    """
    seed_everything(0, params.deterministic)
    models: dict[int, dict[str, Learner]] = {}
    device = choose_device(params.device)
    directory = record.directory / FOLDER / naming if naming else record.directory
    if not directory.is_dir():
        raise UserError(
            f"{directory}: no models there; run `zsad adapt {record.learner} {record.source}` or `dvc repro`"
        )
    for seed in record.seeds:
        loaded, _ = checkpoint.load_all(directory / f"seed_{seed}.safetensors", clip, device)
        models[seed] = {category: learner.settle() for category, learner in loaded.items()}
        clip = next(iter(loaded.values())).clip
    return models


def predict_seeds(
    models: Models,
    record: Record,
    manifest: Manifest,
    params: Params,
    out: Path,
    renamed: Mapping[str, Manifest] = MappingProxyType({}),
) -> None:
    """Score the test split of a dataset; `out` appears when all of it is there.

    renamed: the dataset under other names of its classes; their predictions lie in `out`/class_names.
    """
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
    with PredictionWriter(out, info) as writer, ExitStack() as stack:
        tasks = [Task(models, manifest, writer)]
        for naming, other in renamed.items():
            own = load_seeds(record, params, naming, first.clip) if first.adapts_to_name else models
            inner = PredictionWriter(writer.folder / FOLDER / naming, info)
            tasks.append(Task(own, other, stack.enter_context(inner)))
        others = partial(read_in_prediction, params, record.learner, first.clip)
        write_batches(tasks, params.batch_size, params.precision, shared_stores(params), others)


def write_batches(
    tasks: Sequence[Task], size: int, precision: str, stores: Sequence[FeatureStore] = (), others: Others = tuple
) -> None:
    """Predictions of the test split, `size` pictures at a time; that changes no score.

    The tasks differ in nothing that the image tower sees. What it gives is taken from `stores`, or left there, with
    what `others` read of it.
    """
    first, manifest, info = _any_of(tasks[0].models), tasks[0].manifest, tasks[0].writer.info
    paths = [manifest.root / row.path for row in manifest.test]
    resize_first, hashes = info.protocol == "paper", [row.pixel_hash for row in manifest.test]
    one = Pass(first.clip, first.spec, precision, size, resize_first, manifest.dataset, hashes)
    batches = partial(iterate_images, paths, first.clip.image_size, size, resize_first)
    label = f"{info.learner} on {manifest.dataset}"
    for where, features in feature_batches(stores, one, batches, label, others):
        for task in tasks:
            rows = task.manifest.test[where.start : where.stop]
            for seed, by_category in task.models.items():
                scores, logits = _score(by_category, rows, features, info)
                task.writer.write(seed, where.start, scores, logits)


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
