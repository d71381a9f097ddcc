"""The `predict` stage: checkpoints + the test split of a dataset → image scores and anomaly maps.

All seeds are scored in one pass, so the frozen image tower runs once per image. Only this stage needs the accelerator;
`score` turns what it writes into metrics.
"""

import torch

from zsad import checkpoint
from zsad.cells import CHECKPOINTS, PREDICTIONS, read_record, training_set
from zsad.config import Configuration, Params
from zsad.datasets.images import iterate_images
from zsad.datasets.manifest import Manifest, load_manifest
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
    learners = _load_seeds(record, device)
    info = _info(configuration, manifest, record, next(iter(learners.values())))
    with PredictionWriter(PREDICTIONS / key / dataset, info) as writer:
        _score_all(params, manifest, learners, writer, resize_first=configuration.protocol == "paper")


def _load_seeds(record: dict, device: torch.device) -> dict[int, Learner]:
    """Learner of each seed, all on the same towers."""
    directory = CHECKPOINTS / record["learner"] / record["source"]
    learners: dict[int, Learner] = {}
    clip = None
    for seed in record["seeds"]:
        learners[seed], _ = checkpoint.load(directory / f"seed_{seed}.safetensors", clip, device)
        clip = learners[seed].clip
    return learners


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
    )


def _score_all(
    params: Params, manifest: Manifest, learners: dict[int, Learner], writer: PredictionWriter, resize_first: bool
) -> None:
    first = next(iter(learners.values()))
    paths = [manifest.root / row.path for row in manifest.test]
    batches = iterate_images(paths, first.clip.image_size, params.batch_size, resize_first)
    label = f"{writer.info.learner} on {manifest.dataset}"
    for where, images in progress(batches, -(-len(paths) // params.batch_size), label):
        features = encode_images(first.clip, images, first.spec, params.precision)
        names = [manifest.test[i].prompt_name for i in where]
        for seed, learner in learners.items():
            scored = learner.score(features, names, manifest.dataset)
            writer.write(seed, where.start, scored.score.cpu().numpy(), scored.map_logits.cpu().numpy())
