"""Nearest-patch memory on the frozen image tower: a patch is as anomalous as it is unlike all remembered normal ones.

The training-free few-shot baseline: PatchCore (CVPR 2022, arXiv 2106.08265) and AnomalyDINO (WACV 2025, arXiv
2405.14529) with CLIP's patches in place of theirs. Text has no part in it. Deviations: docs/methods/patch_memory.md.
Shapes: k shots, M remembered vectors, N = g² patches, C vision width.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.common.errors import UserError
from zsad.config.schema import Block, Protocol
from zsad.learners.base import Scored
from zsad.learners.few_shot import FewShotLearner, Support
from zsad.learners.shared.memory import coreset, distance, reweighted

TINY = 1e-12  # distances are kept this far from 0 and 1; stored maps end at 3.8e-11


class Config(Block):
    """Defaults are AnomalyDINO's without rotations; PatchCore: neighbourhood 3, coreset 0.1, image_score reweighted."""

    layers: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    """Image blocks (from 1) whose patches are remembered. null = the last block's, after CLIP's last layer norm."""
    merge: Literal["mean", "concat"] = "mean"
    """Several layers: each has a memory of its own and distances are averaged, or a patch is one vector of them all."""
    neighbourhood: int = Field(default=1, ge=1)
    """Side of the square of patches that a patch is averaged over, odd. PatchCore: 3."""
    rotations: int = Field(default=1, ge=1)
    """Each support picture is remembered in so many rotations, by equal angles over a whole turn. AnomalyDINO: 8."""
    coreset: float = Field(default=1.0, gt=0, le=1)
    """Share of the memory that is kept, by greedy selection. PatchCore: 0.1."""
    image_score: Literal["top", "largest", "reweighted"] = "top"
    """Mean of the largest distances of a picture, the largest one, or that one weighed by how rare its nearest is."""
    top: float = Field(default=0.01, gt=0, le=1)
    """With `top`: the share of patches that is averaged."""
    neighbours: int = Field(default=9, ge=2)
    """With `reweighted`: neighbours b of the nearest remembered patch, itself among them."""
    sigma: float = Field(default=4.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""

    @model_validator(mode="after")
    def _fits(self) -> "Config":
        if self.neighbourhood % 2 == 0:
            raise ValueError(f"neighbourhood {self.neighbourhood}: use an odd number of patches")
        if self.image_score == "reweighted" and self.merge == "mean" and len(self.layers or ()) > 1:
            raise ValueError("image_score: reweighted wants one memory; set `merge: concat`, or one layer")
        return self


class PatchMemory(FewShotLearner):
    """Nothing is trained; the memory is the checkpoint, as unit vectors."""

    Config = Config  # type: ignore[assignment]  # a few-shot Config is a Block
    trained: ClassVar[bool] = False
    memory: Tensor  # [1 or L, M, C or L·C], a buffer

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict", shots: int = 1) -> None:
        super().__init__(config, clip, protocol, shots)
        tokens, width = clip.image.positional_embedding.shape
        layers, blocks = config.layers or (), len(clip.image.blocks)
        if any(not 1 <= layer <= blocks for layer in layers):
            raise UserError(f"layers {list(layers)}: the image tower has blocks 1 to {blocks}")
        together = config.merge == "concat"
        memories, width = (1, width * max(1, len(layers))) if together else (max(1, len(layers)), width)
        count = max(1, int(shots * config.rotations * (tokens - 1) * config.coreset))
        self.register_buffer("memory", torch.zeros(memories, count, width))

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(layers=self.config.layers) if self.config.layers else FeatureSpec(tokens=True)

    @property
    def not_exportable(self) -> str | None:
        per_picture = self.config.image_score == "reweighted"
        return "`image_score: reweighted` looks up the memory picture by picture" if per_picture else None

    @torch.no_grad()
    def adapt(self, support: Support) -> Iterator[dict[str, float]]:
        """Remember the support: nothing to report, since nothing is trained."""
        pictures = torch.cat([rotated(support.pictures, turn / self.config.rotations) for turn in self._turns])
        for own_MC, patches_BNC in zip(self.memory, self._patches(support.encode(pictures)), strict=True):
            all_MC = patches_BNC.flatten(0, 1)
            own_MC.copy_(all_MC if len(all_MC) == len(own_MC) else all_MC[coreset(all_MC, len(own_MC))])
        return iter(())

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        patches = self._patches(features)
        distances = [distance(own_BNC, memory) for own_BNC, memory in zip(patches, self.memory, strict=True)]
        d_BN = torch.stack(distances).mean(0)
        return Scored(self._image_score(d_BN, patches[0]), self.as_map(torch.logit(d_BN, eps=TINY)))

    def _image_score(self, d_BN: Tensor, patches_BNC: Tensor) -> Tensor:
        if self.config.image_score == "reweighted":
            worst = [patches[d.argmax()] for patches, d in zip(patches_BNC, d_BN, strict=True)]
            return torch.stack([reweighted(patch, self.memory[0], self.config.neighbours) for patch in worst])
        count = 1 if self.config.image_score == "largest" else math.ceil(self.config.top * d_BN.shape[1])
        return d_BN.topk(count).values.mean(1)

    def _patches(self, features: ImageFeatures) -> list[Tensor]:
        """Unit vectors [B, N, C] for each memory."""
        layers = [features.layer(index) for index in self.config.layers or ()] or [features.tokens]
        found = [F.normalize(self._averaged(tokens), dim=-1) for tokens in layers]
        return [F.normalize(torch.cat(found, dim=-1), dim=-1)] if self.config.merge == "concat" else found

    def _averaged(self, tokens_BNC: Tensor) -> Tensor:
        """Each patch's mean over its neighbourhood; beyond the picture's edge there is nothing to average."""
        side = self.config.neighbourhood
        if side == 1:
            return tokens_BNC
        maps = self.as_map(tokens_BNC.transpose(1, 2))
        means = F.avg_pool2d(maps, side, stride=1, padding=side // 2, count_include_pad=False)
        return means.flatten(2).transpose(1, 2)

    @property
    def _turns(self) -> range:
        return range(self.config.rotations)


def rotated(pictures_B3SS: Tensor, turn: float) -> Tensor:
    """Pictures turned anticlockwise by `turn` of a whole turn about their middle, mirrored into the corners."""
    if turn == 0:
        return pictures_B3SS
    side = pictures_B3SS.shape[-1]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), 360 * turn, 1.0)
    turned = [
        cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        for picture in pictures_B3SS.permute(0, 2, 3, 1).numpy()
    ]
    return torch.from_numpy(np.stack(turned)).permute(0, 3, 1, 2)
