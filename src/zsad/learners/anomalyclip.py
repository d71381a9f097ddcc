"""AnomalyCLIP: object-agnostic prompt learning (Zhou et al., ICLR 2024, arXiv 2310.18961).

Two prompts without a class name, `[ctx_pos] object.` and `[ctx_neg] damaged object.`, learned once on an auxiliary set;
deep text tokens overwrite positions 1..m on entry of the first blocks; patches come from a V-V stream over the last
19 of 24 blocks. Official code: zqhang/AnomalyCLIP (after the April 2025 fix); parameter names are its state dict's.
Deviations: the unused 768→896 projections are left out; depths are scaled when the backbone is not 24 / 12 blocks deep.
`strict` and `paper` differ in preprocessing only: the official code reads no constant from the target.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.clip.text import DeepTokens
from zsad.config.schema import Protocol
from zsad.learners.base import Batch, Learner, LearnerConfig, Scored
from zsad.learners.shared.fixed import fixed
from zsad.learners.shared.losses import segmentation_loss
from zsad.learners.shared.similarity import two_way_logit


class Config(LearnerConfig):
    """Paper settings."""

    context_length: int = Field(default=12, ge=4, le=60)
    """Learned tokens of each prompt, before the words."""
    deep_length: int = Field(default=4, ge=1, le=4)
    """Learned tokens in a set of deep tokens; they overwrite text positions 1 to this."""
    deep_sets: int | None = Field(default=None, ge=0)
    """Sets of deep tokens, one a text block from the second on. null = 8 for 12 blocks, scaled."""
    deep_fp16: bool = True
    """Round deep tokens through half precision on insertion, as the official code does."""
    vv_start: int | None = Field(default=None, ge=0)
    """First image block (from 0) whose V-V attention enters the patch stream. null = 5 of 24, scaled."""
    temperature: float = Field(default=0.07, gt=0)
    """Temperature of the softmax over the two prompts, for picture and patches."""
    local_weight: float = Field(default=4.0, ge=0)
    """Weight λ of the segmentation loss beside the cross entropy."""


class AnomalyClip(Learner):
    """Trained: ctx_pos, ctx_neg [1, 1, 12, C] and the deep tokens [4, C] each."""

    Config = Config

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        width = clip.text.width
        self.vv_start, sets = self.depths(config.vv_start, config.deep_sets)
        self.ctx_pos = nn.Parameter(0.02 * torch.randn(1, 1, config.context_length, width))
        self.ctx_neg = nn.Parameter(0.02 * torch.randn(1, 1, config.context_length, width))
        self.compound_prompts_text = nn.ParameterList(
            0.02 * torch.randn(config.deep_length, width) for _ in range(sets)
        )
        self._words = [clip.text.embed(clip.text.ids(words)) for words in ("object.", "damaged object.")]

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls=True, vv_start=self.vv_start)

    @fixed
    def text_features(self) -> tuple[Tensor, Tensor]:
        """Unit text features of the normal and the anomalous prompt, [1, D] each."""
        deep = DeepTokens(list(self.compound_prompts_text), self.config.deep_fp16)
        prompts = []
        for context, words_TC in zip((self.ctx_pos, self.ctx_neg), self._words, strict=True):
            prompts.append(torch.cat([words_TC[:1], context[0, 0], words_TC[1:]]))
        lengths = [len(prompt) for prompt in prompts]
        eot = torch.tensor(lengths, device=self.ctx_pos.device) - 1
        padded = [F.pad(prompt, (0, 0, 0, max(lengths) - len(prompt))) for prompt in prompts]
        normal, anomalous = F.normalize(self.clip.text.encode(torch.stack(padded), eot, deep), dim=-1)
        return normal[None], anomalous[None]

    def _logits(self, features: ImageFeatures) -> tuple[Tensor, Tensor]:
        """Log-odds of anomalous: of the image [B], of its patches [B, N]."""
        normal, anomalous = self.text_features()
        temperature = self.config.temperature
        image_B = two_way_logit(features.cls, normal, anomalous, temperature)
        return image_B, two_way_logit(features.patches, normal, anomalous, temperature)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """CE on the image + 4·(focal + dice + dice) on the upsampled probabilities: L_global, L_local."""
        image_B, patches_BN = self._logits(batch.features)
        p_BHW = F.interpolate(self.as_map(patches_BN.sigmoid())[:, None], size=batch.masks.shape[-2:], mode="bilinear")[
            :, 0
        ]
        return {
            "global": F.binary_cross_entropy_with_logits(image_B, batch.labels.float()),
            "local": self.config.local_weight * segmentation_loss(p_BHW, batch.masks),
        }

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        image_B, patches_BN = self._logits(features)
        return Scored(image_B.double().sigmoid(), self.as_map(patches_BN))
