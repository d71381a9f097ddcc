"""WinCLIP+: WinCLIP and the distance to what it remembers of k normal pictures (CVPR 2023, arXiv 2303.14814, eq. 4).

Memory: patch tokens of the pictures and embeddings of their windows. A patch or window is as anomalous as half its
smallest cosine distance to the memory of its kind, wherever that lies; windows reach patches by harmonic means, scales
are averaged. Map: mean of text and visual map. Score: mean of the text score and the visual map's largest value.
Deviations: docs/methods/winclip_plus.md. Shapes: k shots, M remembered vectors, W windows of a scale.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.clip.windows import mean_over_windows
from zsad.config.schema import Protocol
from zsad.learners.base import Scored
from zsad.learners.few_shot import FewShotLearner, Support
from zsad.learners.shared.memory import distance
from zsad.learners.winclip import WinClip

TINY = 1e-12  # probabilities are kept this far from 0 and 1; stored maps end at 3.8e-11


class WinClipPlus(FewShotLearner, WinClip):
    """Few-shot: nothing is trained, the support's features are the checkpoint, as unit vectors."""

    memory_tokens: Tensor

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict", shots: int = 1) -> None:
        super().__init__(config, clip, protocol, shots)
        tokens, width = clip.image.positional_embedding.shape
        self.register_buffer("memory_tokens", torch.zeros(shots * (tokens - 1), width))
        for scale in config.scales:
            windows = (clip.grid - scale + 1) ** 2
            self.register_buffer(f"memory_window_{scale}", torch.zeros(shots * windows, clip.joint_width))

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls_post=True, tokens=True, windows=self.config.scales)

    @torch.no_grad()
    def adapt(self, support: Support) -> Iterator[dict[str, float]]:
        """Remember the support: nothing to report, since nothing is trained."""
        features = support.encode(support.pictures)
        self.memory_tokens.copy_(F.normalize(features.tokens, dim=-1).flatten(0, 1))
        for scale in self.config.scales:
            self._windows(scale).copy_(F.normalize(features.window(scale), dim=-1).flatten(0, 1))
        return iter(())

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        text = super().score(features, names, target)
        visual_Bgg = torch.stack(self.visual_maps(features)).mean(0)
        both_Bgg = (text.map_logits.sigmoid() + visual_Bgg) / 2
        return Scored((text.score + visual_Bgg.flatten(1).amax(1)) / 2, torch.logit(both_Bgg, eps=TINY))

    def visual_maps(self, features: ImageFeatures) -> list[Tensor]:
        """Maps [B, g, g] in [0, 1] of the patches themselves and of each scale; a distance of 0 makes its patch 0."""
        maps = [self.as_map(distance(features.tokens, self.memory_tokens))]
        for scale in self.config.scales:
            windows_BW = distance(features.window(scale), self._windows(scale))
            maps.append(1 / mean_over_windows(1 / windows_BW, scale))
        return maps

    def _windows(self, scale: int) -> Tensor:
        return self.get_buffer(f"memory_window_{scale}")
