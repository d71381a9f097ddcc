"""A few steps of training and a prediction of each learner, as hashes: what must not depend on the machine.

    python -m tests.emulated.steps [--free] [--threads N] LEARNER...

One line of JSON a learner. The CLIP is the small one of tests/conftest.py; training goes as training/loop.py does it, a
few-shot method adapts itself. `--free` leaves out the settings that `deterministic: true` computes under.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from zsad.common.cpu import settle

if TYPE_CHECKING:
    from torch import Tensor

    from zsad.clip.backbone import Activation, Clip, PositionResize
    from zsad.learners.base import Learner

LEARNERS = (
    *("clip_zero", "anomalyclip", "april_gan", "cops", "faprompt", "bayes_pfl"),
    *("aa_clip", "ada_clip", "adapt_clip", "promptad", "apt"),
)
QUANTITIES = ("features", "losses", "gradients", "parameters", "maps", "heatmaps", "scores")
STEPS, PICTURES, SHOTS = 3, 6, 2
# Not through half precision: with subnormals off, QEMU 7.2 turns halves below 6e-5 into zeros, which processors keep.
SETTINGS: dict[str, dict[str, Any]] = {
    "anomalyclip": {"deep_fp16": False},
    "cops": {"samples": 3, "deep_fp16": False},
    "faprompt": {"deep_fp16": False},
    "bayes_pfl": {"epochs": 2, "classifier_epochs": 1, "samples": 3},
    "ada_clip": {"clusters": 5},
    "promptad": {"epochs": STEPS},
    "apt": {"epochs": STEPS, "round_epochs": 1, "synthetic": 4, "held_out": 2},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--free", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("learners", nargs="+", choices=LEARNERS)
    options = parser.parse_args()
    settle(deterministic=not options.free, threads=options.threads)
    for learner in options.learners:
        print(json.dumps({"learner": learner, **run(learner)}), flush=True)


def digest(tensors: Iterable["Tensor"]) -> str:
    """First twelve digits of the SHA-256 of these tensors' bytes."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()[:12]


def run(method: str) -> dict[str, str]:
    """Digests of each of QUANTITIES; of those of a training only where the method has one."""
    with patch.dict(os.environ):  # importing it settles a process for tests, which `--free` is not to be
        from tests.conftest import seeded_values
    from zsad.common.cpu import without_subnormals
    from zsad.common.seeding import seed_everything
    from zsad.learners.lookup import learner_class

    seed_everything(0)
    learner = make(method)
    learner.load_state_dict(seeded_values({name: value.shape for name, value in learner.state_dict().items()}, 1))
    pictures = inputs()
    features = learner.clip.image.encode(pictures, learner.training_spec)
    found = {"features": digest(features.tensors.values())}
    with without_subnormals():
        if learner_class(method).few_shot:
            found |= adapt(learner, pictures[:SHOTS])
        elif learner.trained:
            found |= train(learner, features)
    return found | predict(learner, features)


def make(method: str) -> "Learner":
    """The method, untrained, on the small CLIP."""
    from zsad.learners.lookup import build_config, learner_class, make_learner

    kind = learner_class(method)
    config = build_config(method, SETTINGS.get(method, {}), "learners.x")
    clip = small_clip(kind.openai_activation, kind.position_resize)
    return make_learner(method, config, clip, "strict", SHOTS if kind.few_shot else 0)


@cache
def small_clip(activation: "Activation", position_resize: "PositionResize") -> "Clip":
    """A CLIP whose weights are a function of their names."""
    import torch

    from tests.conftest import SIDE, TINY, write_backbone
    from zsad.clip.backbone import load_clip

    with TemporaryDirectory() as directory:
        backbone = write_backbone(Path(directory) / "clip", TINY, 0, "openai", "quickgelu")
        return load_clip(backbone, SIDE, activation, position_resize, torch.device("cpu"))


def inputs() -> "Tensor":
    """Pictures [6, 3, S, S] in [0, 1]: blobs and noise."""
    import numpy as np
    import torch

    from tests.conftest import SIDE

    generator = np.random.RandomState(7)
    blobs = generator.uniform(0.2, 0.8, (PICTURES, 3, 6, 6)).repeat(SIDE // 6, axis=2).repeat(SIDE // 6, axis=3)
    noise = generator.uniform(-0.2, 0.2, (PICTURES, 3, SIDE, SIDE))
    return torch.from_numpy((blobs + noise).astype(np.float32))


def train(learner: "Learner", features: Any) -> dict[str, str]:
    """Three optimiser steps of each phase, as training/loop.py takes them."""
    import torch

    from zsad.common.seeding import seed_everything
    from zsad.training.loop import make_adam

    losses, gradients = [], []
    for number, phase in enumerate(learner.phases()):
        seed_everything(number)
        optimizer = make_adam(phase, learner.config.betas)
        for step in range(STEPS):
            for group, wanted in zip(optimizer.param_groups, phase.groups, strict=True):
                group["lr"] = wanted["lr"] * (phase.schedule.factor(step + 1, STEPS) if phase.schedule else 1.0)
            optimizer.zero_grad()
            terms = torch.stack(list(phase.loss(batch(features, step)).values()))
            terms.sum().backward()
            losses.append(terms)
            gradients += [p.grad.clone() for group in phase.groups for p in group["params"] if p.grad is not None]
            optimizer.step()
    return {"losses": digest(losses), "gradients": digest(gradients), "parameters": digest(learner.parameters())}


def batch(features: Any, step: int) -> Any:
    """Two pictures, the second one with a rectangle of anomaly; two others beside them to compare with."""
    import torch

    from tests.conftest import SIDE
    from zsad.learners.base import Batch

    masks = torch.zeros(2, SIDE, SIDE)
    masks[1, 10 + step : 30, 20:45] = 1
    beside = features.select([(2 * step + 2) % PICTURES, (2 * step + 3) % PICTURES])
    return Batch(features.select([2 * step, 2 * step + 1]), masks, torch.tensor([0, 1]), ["object"] * 2, beside)


def adapt(learner: Any, pictures: "Tensor") -> dict[str, str]:
    """A few epochs on two pictures; the gradients are those of the last step."""
    import torch

    from zsad.learners.few_shot import Support

    support = Support(pictures, "object", "object", lambda x: learner.clip.image.encode(x, learner.support_spec), 0)
    losses = [torch.tensor(list(terms.values()), dtype=torch.float64) for terms in learner.adapt(support)]
    trained = [parameter for parameter in learner.parameters() if parameter.grad is not None]
    gradients = digest(parameter.grad for parameter in trained)
    return {"losses": digest(losses), "gradients": gradients, "parameters": digest(learner.state_dict().values())}


def predict(learner: "Learner", features: Any) -> dict[str, str]:
    """maps: as the learner gives them; heatmaps: as they are stored, enlarged and smoothed (NumPy and OpenCV)."""
    import torch

    from tests.conftest import SIDE
    from zsad.inference.maps import encode_logits, full_map

    learner.draw(torch.Generator().manual_seed(0))
    learner.eval()
    scored = learner.score(features.select([0, 1]), ["object"] * 2)
    codes = [encode_logits(logits.numpy()) for logits in scored.map_logits]
    heatmaps = [torch.from_numpy(full_map(code, (SIDE, SIDE), learner.upsample, learner.sigma)) for code in codes]
    return {"maps": digest([scored.map_logits]), "heatmaps": digest(heatmaps), "scores": digest([scored.score])}


if __name__ == "__main__":
    main()
