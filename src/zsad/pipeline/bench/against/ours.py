"""Our side: the product's own loops over the case's pictures, with turns between their steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zsad.clip.backbone import encode_images, load_clip
from zsad.clip.inputs import iterate_images
from zsad.common.seeding import seed_everything
from zsad.config.schema import DatasetParams
from zsad.datasets.index import build_manifest
from zsad.inference.maps import encode_logits, full_map
from zsad.learners.base import Batch, Learner
from zsad.learners.lookup import build_config, learner_class
from zsad.pipeline.bench.against.case import BATCH, NAME, TRAINING, Case
from zsad.pipeline.bench.against.draws import Draws
from zsad.pipeline.bench.against.turns import Turns
from zsad.training.features import SourceData
from zsad.training.loop import Trainer

TARGET = "mvtec"  # whose constants the official tests take by default


def make_learner(folder: Path, method: str, settings: dict[str, Any], image_size: int, device: str) -> Learner:
    """An untrained learner on the case's CLIP; `paper`: with the official code's constants and draws."""
    kind = learner_class(method)
    place = torch.device(device)
    clip = load_clip(folder / "clip", image_size, kind.openai_activation, kind.position_resize, place)
    return kind(build_config(method, settings, method), clip, "paper").to(place)


def run(folder: Path, case: Case, turns: Turns) -> dict[str, Any]:
    """Run our loop; of inference `maps` [N, S, S] and `scores` [N]."""
    seed_everything(0, deterministic=True)
    learner = make_learner(folder, case.method, case.settings, case.image_size, case.device)
    from safetensors.torch import load_file

    learner.load_state_dict(load_file(folder / "learner.safetensors"))
    if case.what == TRAINING:
        _train(folder, case, learner, turns)
        return {}
    return _predict(folder, case, learner, turns)


def _predict(folder: Path, case: Case, learner: Learner, turns: Turns) -> dict[str, Any]:
    """Each picture alone, from its input to the smoothed map at full size, by a learner as `zsad predict` loads it."""
    images, draws = np.load(folder / "images.npy"), Draws()
    maps, scores, size = [], [], (case.image_size, case.image_size)
    learner.settle()
    for image in images:
        turns.next()
        draws.begin(0)
        features = encode_images(learner.clip, image[None], learner.spec, "fp32")
        scored = learner.score(features, [NAME], TARGET)
        codes = encode_logits(scored.map_logits[0].cpu().numpy())
        maps.append(full_map(codes, size, learner.upsample, learner.sigma))
        scores.append(float(scored.score[0]))
    turns.end()
    return {"maps": np.stack(maps).astype(np.float32), "scores": np.array(scores)}


class InTurn(SourceData):
    """The training data in a known order; each batch begins a turn."""

    def begin(self, turns: Turns, order: Sequence[int]) -> None:
        """Before the first epoch."""
        self.turns, self.order, self.draws, self.step = turns, torch.tensor(order), Draws(), 0

    def shuffled(self) -> Tensor:
        return self.order

    def batch(self, entries: Sequence[int]) -> Batch:
        self.turns.next()
        self.draws.begin(self.step)
        self.step += 1
        return super().batch(entries)


def _train(folder: Path, case: Case, learner: Learner, turns: Turns) -> None:
    """As `zsad train`: the first turn decodes and encodes the pictures, each other one is a step."""
    manifest = build_manifest("pictures", DatasetParams(kind="folder", path="pictures"), folder / "pictures")
    scratch = folder / "scratch"
    data = InTurn(manifest, learner.clip, scratch / "features")
    data.begin(turns, np.load(folder / "order.npy").tolist())
    turns.next()
    data.encode(learner.training_spec, BATCH, "fp32", resize_first=True)
    Trainer(data, scratch, True, lambda *_, **__: None, case.method).fit(learner, 0)
    turns.end()


def inputs(folder: Path, image_size: int) -> None:
    """images.npy, masks.npy, labels.npy in the order of the manifest, order.npy: that of a training epoch."""
    manifest = build_manifest("pictures", DatasetParams(kind="folder", path="pictures"), folder / "pictures")
    rows = manifest.trainable
    paths = [manifest.root / row.path for row in rows]
    (_, images), *_ = iterate_images(paths, image_size, len(rows), resize_first=True)
    from zsad.datasets.masks import resize_mask_paper

    masks = np.zeros((len(rows), image_size, image_size), np.float32)
    for mask, row in zip(masks, rows, strict=True):
        if row.mask:
            mask[:] = resize_mask_paper(manifest.root / row.mask, image_size)
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", masks)
    np.save(folder / "labels.npy", np.array([row.label for row in rows]))
    np.save(folder / "order.npy", np.random.RandomState(0).permutation(len(rows)))
