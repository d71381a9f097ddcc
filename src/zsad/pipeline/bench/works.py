"""What is timed: the frozen tower alone, its floor for these methods, and each configuration's prediction and step.

Weights are random but for the frozen CLIP: what they are costs nothing. Shapes: B batch, S image side in pixels.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures, encode_images
from zsad.clip.inputs import normalised
from zsad.common.cpu import without_subnormals
from zsad.common.seeding import seed_everything
from zsad.common.timing import Work
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.learners.base import Batch, Learner, scaled
from zsad.learners.few_shot import FewShotLearner, Support
from zsad.training.loop import make_adam
from zsad.training.setup import set_up

TOWER, FLOOR = "image tower alone", "with the V-V stream"
NAME = "object"
V_V_START = (5, 24)  # block of ViT-L at which the stream of most methods begins


@dataclass(frozen=True)
class Subject:
    """An untrained learner, ready to predict and to take steps; a few-shot one remembers random pictures."""

    key: str
    learner: Learner
    precision: str

    @property
    def clip(self) -> Clip:
        return self.learner.clip

    def prediction(self, batch: int) -> Work:
        """Score a batch of pictures, decoded already."""
        images, learner = pictures(self.clip, batch), self.learner.settle()

        def work() -> None:
            learner.score(encode_images(self.clip, images, learner.spec, self.precision), [NAME] * batch)

        return work

    def step(self) -> tuple[Work, int] | None:
        """An optimiser step of each phase on stored features, as from the second epoch on, and its pictures.

        None where nothing is trained on a source.
        """
        learner = self.learner
        if not learner.trained or learner.few_shot:
            return None
        size = learner.config.train_batch_size
        features = encode_images(self.clip, pictures(self.clip, size), learner.training_spec, self.precision)
        batch = _batch(self.clip, features)
        phases = [(phase, make_adam(phase, learner.config.betas)) for phase in learner.phases() if phase.epochs]

        def work() -> None:
            learner.train()
            with without_subnormals():
                for phase, optimizer in phases:
                    optimizer.zero_grad()
                    torch.stack(list(phase.loss(batch).values())).sum().backward()
                    optimizer.step()

        return work, size


def subject(params: Params, configuration: Configuration) -> Subject:
    """Of one configuration, on its prepared backbone and the device of params.yaml."""
    setup = set_up(params, configuration, configuration.settings)
    seed_everything(0, params.deterministic)
    learner = setup.learner().to(setup.clip.device)
    learner.draw(torch.Generator().manual_seed(0))
    if configuration.shots:
        assert isinstance(learner, FewShotLearner)
        _remember(learner, configuration.shots)
    return Subject(configuration.key, learner, params.precision)


def bare(clip: Clip, batch: int, precision: str) -> dict[str, Work]:
    """The image tower for its class token alone, and with one V-V stream of patches: what a picture costs at least."""
    images, blocks = pictures(clip, batch), len(clip.image.blocks)
    specs = {
        TOWER: FeatureSpec(cls=True),
        FLOOR: FeatureSpec(cls=True, vv_start=scaled(*V_V_START, blocks)),
    }
    return {name: partial(encode_images, clip, images, spec, precision) for name, spec in specs.items()}


def pictures(clip: Clip, count: int) -> np.ndarray:
    """Random CLIP input, float32 [B, 3, S, S]."""
    shape = (count, 3, clip.image_size, clip.image_size)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _batch(clip: Clip, features: ImageFeatures) -> Batch:
    """Every second picture anomalous in its middle; each is its neighbour's reference."""
    count = len(next(iter(features.tensors.values())))
    labels = torch.arange(count) % 2
    masks = torch.zeros(count, clip.image_size, clip.image_size)
    quarter = clip.image_size // 4
    masks[1::2, quarter : 2 * quarter, quarter : 3 * quarter] = 1
    beside = features.select([(i + 1) % count for i in range(count)])
    return Batch(features, masks.to(clip.device), labels.to(clip.device), [NAME] * count, beside)


def _remember(learner: FewShotLearner, shots: int) -> None:
    """Adapt to random pictures: what is remembered then has its size."""
    clip, spec = learner.clip, learner.support_spec
    shape = (shots, 3, clip.image_size, clip.image_size)
    pixels = torch.from_numpy(np.random.default_rng(1).random(shape, np.float32))

    def encode(some: Tensor) -> ImageFeatures:
        return encode_images(clip, normalised(some.numpy()), spec, "fp32")

    with without_subnormals():
        list(learner.adapt(Support(pixels, NAME, NAME, encode, 0)))
