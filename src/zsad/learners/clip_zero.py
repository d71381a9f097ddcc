"""clip_zero: hand-written prompts on a frozen CLIP. Nothing is learned: the floor every learner must beat.

Prompts: WinCLIP (CVPR 2023) compositional ensemble, 7 normal and 4 anomalous states × 21 templates, with the dataset's
class name; a state's prototype is the mean of its un-normalised embeddings. Map: softmax over the V-V patch features of
AnomalyCLIP's stream at the backbone's own temperature. Image score: ½ (softmax of CLIP's image feature + best patch).
It is not the papers' "CLIP" row, which reads raw last-layer patches. Constants follow no dataset.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from torch import Tensor

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.config import Block, Protocol
from zsad.learners.base import Learner, Scored
from zsad.losses import two_way_logit

NORMAL_STATES = (
    "{}",
    "flawless {}",
    "perfect {}",
    "unblemished {}",
    "{} without flaw",
    "{} without defect",
    "{} without damage",
)
ANOMALOUS_STATES = ("damaged {}", "{} with flaw", "{} with defect", "{} with damage")
TEMPLATES = (
    "a cropped photo of the {}.",
    "a close-up photo of a {}.",
    "a close-up photo of the {}.",
    "a bright photo of a {}.",
    "a bright photo of the {}.",
    "a dark photo of the {}.",
    "a dark photo of a {}.",
    "a jpeg corrupted photo of the {}.",
    "a jpeg corrupted photo of the {}.",  # twice in the published list, so it counts double
    "a blurry photo of the {}.",
    "a blurry photo of a {}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of a small {}.",
    "a photo of the small {}.",
    "a photo of a large {}.",
    "a photo of the large {}.",
    "a photo of the {} for visual inspection.",
    "a photo of a {} for visual inspection.",
    "a photo of the {} for anomaly detection.",
    "a photo of a {} for anomaly detection.",
)


class Config(Block):
    """What can be set where nothing is trained."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    vv_start: int | None = Field(default=None, ge=0)
    """First image block (from 0) whose V-V attention enters the patch stream. null = AnomalyCLIP's 5 of 24, scaled."""
    sigma: float = Field(default=4.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""


class ClipZero(Learner):
    """Two text prototypes per class name, computed once per name."""

    Config = Config  # type: ignore[assignment]  # untrained: no epochs, no learning rate
    trained = False

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        self.vv_start, _ = self.depths(config.vv_start)
        self._prototypes: dict[str, Tensor] = {}

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls_post=True, vv_start=self.vv_start)

    @torch.no_grad()
    def prototypes(self, name: str) -> Tensor:
        """Unit text prototypes [2, D] of a class name: normal, anomalous."""
        if name not in self._prototypes:
            means = [self._mean_embedding(states, name) for states in (NORMAL_STATES, ANOMALOUS_STATES)]
            self._prototypes[name] = F.normalize(torch.stack(means), dim=-1)
        return self._prototypes[name]

    def _mean_embedding(self, states: Sequence[str], name: str) -> Tensor:
        prompts = [template.format(state.format(name)) for state in states for template in TEMPLATES]
        return self.clip.text.encode_strings(prompts).mean(0)

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        text_B2D = torch.stack([self.prototypes(name) for name in names])
        temperature = 1 / self.clip.logit_scale
        patches_BN = two_way_logit(features.patches, text_B2D[:, 0], text_B2D[:, 1], temperature).double()
        cls_B = two_way_logit(features.cls_post, text_B2D[:, 0], text_B2D[:, 1], temperature).double()
        score = (cls_B.sigmoid() + patches_BN.max(1).values.sigmoid()) / 2
        return Scored(score, self.as_map(patches_BN))
