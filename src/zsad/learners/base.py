"""The contract of a prompt learner, and what all of them share.

A learner file is the method: Config, modules, `loss`, `score`. The trainer and the predictor know only this class.
Shapes: B batch, N = g·g patches, D joint width, S image side in pixels.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from zsad.clip.backbone import Activation, Clip, FeatureSpec, ImageFeatures, PositionResize
from zsad.common.errors import UserError
from zsad.config.schema import Block, Protocol

Upsample = Literal["nearest", "bilinear", "bilinear_corners"]  # how a map grows to full size: zsad.inference.maps
PAPER_SIDE = 518  # sizes in pixels (smoothing σ) are given at the papers' image side and scale with the image
PAPER_LAYERS = (6, 12, 18, 24)  # blocks of ViT-L, from 1, that methods with several layers read


class LearnerConfig(Block):
    """Settings every trained learner has; a method's Config adds its own. Defaults are the papers'.

    The text below a field is its meaning in docs/methods.
    """

    epochs: int = Field(default=15, ge=0)
    """Passes over the auxiliary source; the last one counts."""
    train_batch_size: int = Field(default=8, ge=1)
    """Pictures in an optimiser step; the last, partial batch of an epoch is kept."""
    lr: float = Field(default=0.001, gt=0)
    """Learning rate of Adam, constant."""
    betas: tuple[float, float] = Field(default=(0.5, 0.999), strict=False)
    """Decay rates of Adam's two moments."""
    sigma: float = Field(default=4.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""


@dataclass(frozen=True)
class Batch:
    """Training images: frozen features, masks [B, S, S] in {0, 1}, labels [B] in {0, 1}, prompt names.

    references: features of a normal picture of each image's category, for a learner that compares.
    """

    features: ImageFeatures
    masks: Tensor
    labels: Tensor
    names: Sequence[str]
    references: ImageFeatures | None = None


@dataclass(frozen=True)
class Sample:
    """A source picture at its own size: RGB uint8 [H, W, 3], mask bool [H, W], label 0 or 1."""

    picture: np.ndarray
    mask: np.ndarray
    label: int


@dataclass(frozen=True)
class Cosine:
    """Learning-rate factor per optimiser step: linear warm-up from 0, then half a cosine down to 0.

    `epochs` is the length of the whole curve; a phase that is shorter ends on its way. A function of the step alone.
    """

    epochs: int
    warmup: float

    def factor(self, step: int, steps_per_epoch: int) -> float:
        """Factor for `step`, counted from 0 over the whole phase."""
        total = self.epochs * steps_per_epoch
        warm = int(self.warmup * steps_per_epoch * self.epochs)
        if step < warm:
            return step / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))


@dataclass(frozen=True)
class Milestones:
    """Learning-rate factor per optimiser step: times `factor_each` from each of these steps of the phase on."""

    steps: Sequence[int]
    factor_each: float

    def factor(self, step: int, steps_per_epoch: int) -> float:
        """Factor for `step`, counted from 0 over the whole phase."""
        return self.factor_each ** sum(step >= milestone for milestone in self.steps)


@dataclass(frozen=True)
class Phase:
    """A stretch of training: for how long, who learns how fast (Adam's parameter groups), from which loss.

    Parameters in no group are frozen meanwhile. `loss` gives weighted terms, whose sum is minimised. `batch_size`:
    pictures in a step, where it is not the configuration's.
    """

    epochs: int
    groups: Sequence[dict[str, Any]]
    loss: Callable[[Batch], dict[str, Tensor]]
    schedule: Cosine | Milestones | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Scored:
    """Image scores [B] in [0, 1] (float64) and map log-odds [B, h, w]; the map itself is their sigmoid."""

    score: Tensor
    map_logits: Tensor


class Learner(nn.Module):
    """One method on one frozen backbone. Its state dict is the checkpoint; CLIP is no part of it.

    What it may touch: it sees no pictures, but features (`spec`), which are computed once. A method that puts something
    inside a tower asks for the state in front of its first change (`FeatureSpec.entry`) and runs the other blocks by
    itself, in `loss` and in `score` (zsad.clip.adaptation). CLIP's own weights stay as they are.

    `protocol`: `strict` takes every constant from `config`; `paper` reproduces the official inference with its traps.
    """

    Config: ClassVar[type[LearnerConfig]] = LearnerConfig
    trained: ClassVar[bool] = True
    few_shot: ClassVar[bool] = False  # adapted to a target from a few of its normal pictures: see few_shot.py
    few_shot_form: ClassVar[bool] = False  # trained on a source, and can then be given such pictures: `few_shot_of`
    openai_activation: ClassVar[Activation] = "quickgelu"
    position_resize: ClassVar[PositionResize] = "bilinear"
    upsample: ClassVar[Upsample] = "bilinear"
    training_only: ClassVar[tuple[str, ...]] = ()  # prefixes of parameters that no checkpoint holds
    known: dict[Any, Any] | None = None  # of a settled learner: results of methods that read no picture

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__()
        self.config = config
        self.clip = clip
        self.protocol = protocol

    @property
    def spec(self) -> FeatureSpec:
        """What `loss` and `score` read of the image tower."""
        raise NotImplementedError

    @property
    def training_spec(self) -> FeatureSpec:
        """What the losses read of it: that which `score` reads, unless the method says otherwise."""
        return self.spec

    @property
    def sigma(self) -> float:
        """Standard deviation of the map's Gaussian smoothing, as a fraction of the image side."""
        return self.config.sigma / PAPER_SIDE

    @property
    def map_grid(self) -> tuple[int, int]:
        """(h, w) of the maps that `score` gives: one value a patch, unless the method's map is finer."""
        return self.clip.grid, self.clip.grid

    def fine_grid(self, scale: int | None) -> tuple[int, int]:
        """`map_grid` where softmax follows upsampling: exact at the image's size, which None stands for, or near it at
        `scale` times the patch grid."""
        side = self.clip.grid * scale if scale else self.clip.image_size
        return side, side

    @property
    def image_top(self) -> dict[str, float] | None:
        """Share of a map's pixels, by category, that official metrics mix into image scores (PredictionInfo)."""
        return None

    @property
    def not_exportable(self) -> str | None:
        """Why `score` cannot be written down as one graph of tensors, or None."""
        return None

    @property
    def adapts_to_name(self) -> bool:
        """Whether a few-shot method reads the class name when it adapts; another name is then another model."""
        return False

    @property
    def views(self) -> int:
        """How many random views of each source picture to train on; 0 = the pictures as they are."""
        return 0

    @property
    def references(self) -> int:
        """From how many normal training pictures of each source category a batch draws its references; 0 = none."""
        return 0

    def view(self, sample: Sample, anomalous: Sequence[Callable[[], Sample]], generator: np.random.Generator) -> Sample:
        """One random view of a source picture; `anomalous` reads the anomalous pictures of its category."""
        raise NotImplementedError

    def phases(self) -> Sequence[Phase]:
        """The stretches of training, in order: one over all parameters unless the method has more."""
        return (Phase(self.config.epochs, [{"params": list(self.parameters()), "lr": self.config.lr}], self.loss),)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the training loss, weighted: their sum is what is minimised."""
        raise NotImplementedError

    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        """Scores and maps of a batch; `names`: prompt name per image; `target`: dataset key, read by `paper` only."""
        raise NotImplementedError

    def draw(self, generator: torch.Generator) -> None:
        """Fix the test-time draws of a method that samples; they are stored with the checkpoint."""

    def depths(self, vv_start: int | None, deep_sets: int | None = None) -> tuple[int, int]:
        """(first block of the V-V stream, number of deep-token sets): given, or the papers' scaled to this backbone.

        At ViT-L: block 5 of 24 and 8 sets for 12 text blocks. A depth that this backbone does not have is refused.
        """
        blocks, text_blocks = len(self.clip.image.blocks), len(self.clip.text.blocks)
        start = scaled(5, 24, blocks) if vv_start is None else vv_start
        sets = scaled(8, 12, text_blocks) if deep_sets is None else deep_sets
        if start >= blocks:
            raise UserError(f"vv_start {start}: the image tower has blocks 0 to {blocks - 1}")
        if sets >= text_blocks:
            raise UserError(f"deep_sets {sets}: the text tower takes at most {text_blocks - 1}")
        return start, sets

    def read_layers(self, given: tuple[int, ...] | None) -> tuple[int, ...]:
        """Blocks (from 1) whose patches are read: given, or the papers' at the same relative depth of this backbone.

        A block that this backbone does not have is refused.
        """
        blocks = len(self.clip.image.blocks)
        if given is None:
            return tuple(sorted({max(1, scaled(layer, PAPER_LAYERS[-1], blocks)) for layer in PAPER_LAYERS}))
        if any(not 1 <= layer <= blocks for layer in given):
            raise UserError(f"layers {list(given)}: the image tower has blocks 1 to {blocks}")
        return given

    def checkpoint(self) -> dict[str, Tensor]:
        """The tensors to store: everything that `score` reads."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(self.training_only)}

    def restore(self, tensors: dict[str, Tensor], path: Path) -> None:
        """Load what `checkpoint` gave; a missing, extra, misshapen or non-finite tensor is refused by name."""
        wanted = self.checkpoint()
        problems = [f"missing {k}" for k in wanted.keys() - tensors] + [f"unknown {k}" for k in tensors.keys() - wanted]
        for key in wanted.keys() & tensors.keys():
            if wanted[key].shape != tensors[key].shape:
                problems.append(f"{key} is {list(tensors[key].shape)}, expected {list(wanted[key].shape)}")
            elif not tensors[key].isfinite().all():
                problems.append(f"{key} holds NaN or infinity")
        if problems:
            raise UserError(f"{path}: not a checkpoint of this configuration: {'; '.join(sorted(problems))}")
        self.load_state_dict(tensors, strict=False)

    def settle(self) -> Self:
        """To score from now on: its weights change no more, so what is `fixed` is computed once (shared/fixed.py)."""
        self.known = {}
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """As torch's; a learner that learns is not settled."""
        if mode:
            self.known = None
        return super().train(mode)

    def as_map(self, values_BN: Tensor) -> Tensor:
        """[B, N] → [B, g, g], row-major."""
        return values_BN.unflatten(-1, (self.clip.grid, self.clip.grid))


def scaled(count: int, of_paper: int, of_backbone: int) -> int:
    """A depth given for the papers' backbone, at the same relative depth of this one (rounded, ties down)."""
    return (2 * count * of_backbone + of_paper - 1) // (2 * of_paper) if count else 0
