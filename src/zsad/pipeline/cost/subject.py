"""A configuration without weights, and what a picture, a step and an adaptation of it cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures, untrained_clip
from zsad.clip.weights import model_config
from zsad.common.timing import Work
from zsad.config.configuration import Configuration
from zsad.learners.base import Batch, Learner, Phase
from zsad.learners.few_shot import FewShotLearner, Support
from zsad.learners.lookup import build_config, learner_class, make_learner
from zsad.pipeline.cost.tracing import META, Traced, Unknown, traced

CATEGORY = "object"


@dataclass
class Subject:
    """One configuration with the settings that it has on one source; batch: pictures that the tower sees at once.

    Nothing it holds has values.
    """

    configuration: Configuration
    settings: Mapping[str, Any]
    batch: int
    learner: Learner = field(init=False)

    def __post_init__(self) -> None:
        one, kind = self.configuration, learner_class(self.configuration.method)
        typed = build_config(one.method, dict(self.settings), one.where)
        with Unknown():
            clip = _clip(one, kind)
            self.learner = make_learner(one.method, typed, clip, one.protocol, one.shots)
            self.learner.draw(torch.Generator().manual_seed(0))

    @cached_property
    def encoding(self) -> Traced:
        """A batch through the image tower, for scoring."""
        return traced(lambda: self._features(self.learner.spec, self.batch))

    @cached_property
    def encoding_to_train(self) -> Traced:
        """The same, for the losses."""
        return traced(lambda: self._features(self.learner.training_spec, self.batch))

    @cached_property
    def scoring(self) -> tuple[Traced, Traced]:
        """Scores and maps of a batch by one model: the first that is called so, whose text is kept, and each other."""
        features, learner = self._features(self.learner.spec, self.batch), self.learner.settle()
        first, other = (traced(lambda: learner.score(features, [CATEGORY] * self.batch)) for _ in range(2))
        return first, other

    @cached_property
    def stored(self) -> int:
        """Bytes of the features of a picture, as they wait on disk while a method trains."""
        return _size_of(self._features(self.learner.training_spec, 1).tensors.values())

    @cached_property
    def steps(self) -> list[tuple[int, int, Traced]]:
        """Of each phase: epochs, pictures in a step, and what that costs: losses and their gradients."""
        sizes = [(phase, phase.batch_size or self.learner.config.train_batch_size) for phase in self.learner.phases()]
        return [(phase.epochs, size, traced(self._step(phase, self._batch(size)))) for phase, size in sizes]

    @cached_property
    def adaptation(self) -> tuple[Traced, Traced]:
        """To one category: all up to the end of the first epoch, and each further epoch, if it trains."""
        learner = self.learner
        assert isinstance(learner, FewShotLearner)
        spec, side = learner.support_spec, learner.clip.image_size
        pixels = torch.rand(self.configuration.shots, 3, side, side)
        support = Support(pixels, CATEGORY, CATEGORY, lambda some: self._features(spec, len(some)), 0)
        begun: list[Iterator[Any]] = []

        def first() -> None:
            begun.append(iter(learner.adapt(support)))
            next(begun[0], None)

        return traced(first), traced(lambda: next(begun[0], None))

    @property
    def weights(self) -> int:
        """Bytes of both towers."""
        clip = self.learner.clip
        return _size_of([*_tensors(clip.image), *_tensors(clip.text)])

    @property
    def model(self) -> int:
        """Bytes of a checkpoint: of one category, if it is adapted to each."""
        return _size_of(self.learner.checkpoint().values())

    @property
    def trained(self) -> int:
        """Bytes of what is trained."""
        return _size_of(self.learner.parameters())

    def _features(self, spec: FeatureSpec, batch: int) -> ImageFeatures:
        side = self.learner.clip.image_size
        with Unknown():
            return self.learner.clip.image.encode(torch.empty(batch, 3, side, side, device=META), spec)

    def _batch(self, count: int) -> Batch:
        side, features = self.learner.clip.image_size, self._features(self.learner.training_spec, count)
        masks, labels = torch.empty(count, side, side, device=META), torch.empty(count, device=META, dtype=torch.int64)
        beside = self._features(self.learner.training_spec, count) if self.learner.references else None
        return Batch(features, masks, labels, [CATEGORY] * count, beside)

    def _step(self, phase: Phase, batch: Batch) -> Work:
        learning = {id(parameter) for group in phase.groups for parameter in group["params"]}
        for parameter in self.learner.parameters():
            parameter.requires_grad_(id(parameter) in learning)
            parameter.grad = None

        def work() -> None:
            torch.stack(list(phase.loss(batch).values())).sum().backward()

        self.learner.train()
        return work


def _clip(one: Configuration, kind: type[Learner]) -> Clip:
    backbone = one.backbone
    config = model_config(backbone)
    return untrained_clip(
        config, backbone.name, backbone.image_size, kind.openai_activation, kind.position_resize, META
    )


def _tensors(tower: Any) -> Iterator[Tensor]:
    for value in vars(tower).values():
        parts = value if isinstance(value, tuple) else (value,)
        for part in parts:
            if isinstance(part, Tensor):
                yield part
            elif isinstance(part, nn.Module):
                yield from part.parameters()
            elif hasattr(part, "in_proj_weight"):
                yield from _tensors(part)


def _size_of(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
