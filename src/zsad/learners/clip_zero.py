"""clip_zero: hand-written prompts on a frozen CLIP. Nothing is learned: the floor every learner must beat.

Prompts: WinCLIP (CVPR 2023) compositional ensemble, 7 normal and 4 anomalous states × 21 templates, with the dataset's
class name; a state's prototype is the mean of its un-normalised embeddings. Map: softmax over the V-V patch features of
AnomalyCLIP's stream at the backbone's own temperature. Image score: ½ (softmax of CLIP's image feature + best patch).
It is not the papers' "CLIP" row, which reads raw last-layer patches. Constants follow no dataset.
"""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.config.schema import Protocol
from zsad.learners.base import Scored
from zsad.learners.shared.prompts import PromptConfig, PromptEnsemble
from zsad.learners.shared.similarity import two_way_logit


class Config(PromptConfig):
    """What can be set where nothing is trained."""

    vv_start: int | None = Field(default=None, ge=0)
    """First image block (from 0) whose V-V attention enters the patch stream. null = AnomalyCLIP's 5 of 24, scaled."""
    sigma: float = Field(default=4.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""


class ClipZero(PromptEnsemble):
    """Two text prototypes per class name, computed once per name."""

    Config = Config  # type: ignore[assignment]  # untrained: no epochs, no learning rate

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        self.vv_start, _ = self.depths(config.vv_start)

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls_post=True, vv_start=self.vv_start)

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        text_B2D = torch.stack([self.prototypes(name) for name in names])
        temperature = 1 / self.clip.logit_scale
        patches_BN = two_way_logit(features.patches, text_B2D[:, 0], text_B2D[:, 1], temperature).double()
        cls_B = two_way_logit(features.cls_post, text_B2D[:, 0], text_B2D[:, 1], temperature).double()
        score = (cls_B.sigmoid() + patches_BN.max(1).values.sigmoid()) / 2
        return Scored(score, self.as_map(patches_BN))
