"""WinCLIP: hand-written prompts against CLIP's own image feature, of the picture and of windows of patches.

Jeong et al., "WinCLIP: Zero-/Few-Shot Anomaly Classification and Segmentation", CVPR 2023, arXiv 2303.14814; without
official code. Score: softmax of the picture's feature over both prototypes (eq. 1). Map: harmonic mean over the windows
that cover a patch, and over scales, the picture itself among them. Nothing is learned, nothing is read from a target.
Deviations: docs/methods/winclip.md. Shapes: W = (g-k+1)² windows of k × k patches.
"""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.clip.windows import mean_over_windows
from zsad.common.errors import UserError
from zsad.config.schema import Protocol
from zsad.learners.base import Scored
from zsad.learners.shared.prompts import PromptConfig, PromptEnsemble
from zsad.learners.shared.similarity import two_way_logit


class Config(PromptConfig):
    """What can be set where nothing is trained."""

    scales: tuple[int, ...] = Field(default=(2, 3), min_length=1, strict=False)
    """Sides of the windows, in patches; the whole picture is always one more scale."""
    temperature: float = Field(default=0.07, ge=0.01)
    """Temperature of the softmax over both prompts. It decides how the harmonic mean weighs windows."""
    sigma: float = Field(default=0.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""


class WinClip(PromptEnsemble):
    """Zero-shot. The harmonic mean of softmaxes s = σ(l) has log-odds −ln mean exp(−l), which is what is computed."""

    Config = Config  # type: ignore[assignment]  # untrained: no epochs, no learning rate

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        if not all(1 <= scale <= clip.grid for scale in config.scales):
            raise UserError(f"scales {list(config.scales)}: windows have sides of 1 to {clip.grid} patches here")

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls_post=True, windows=self.config.scales)

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        text_B2D = torch.stack([self.prototypes(name) for name in names])
        picture_B = self._log_odds(features.cls_post, text_B2D)
        inverse_odds = [torch.exp(-picture_B)[:, None, None].expand(-1, *self.map_grid)]
        for scale in self.config.scales:
            windows_BW = self._log_odds(features.window(scale), text_B2D)
            inverse_odds.append(mean_over_windows(torch.exp(-windows_BW), scale))
        return Scored(picture_B.sigmoid(), -torch.stack(inverse_odds).mean(0).log())

    def _log_odds(self, features: Tensor, text_B2D: Tensor) -> Tensor:
        return two_way_logit(features, text_B2D[:, 0], text_B2D[:, 1], self.config.temperature).double()
