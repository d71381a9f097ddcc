"""WinCLIP's compositional prompt ensemble: 7 normal and 4 anomalous states × 21 templates around the class name.

Jeong et al., CVPR 2023, arXiv 2303.14814. The lists are those of three independent re-implementations, which agree.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.backbone import Clip
from zsad.config.schema import Protocol
from zsad.learners.base import Learner

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


class PromptEnsemble(Learner):
    """A learner whose text side is two prototypes per class name: hand-written, computed once per name."""

    trained = False

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        self._prototypes: dict[str, Tensor] = {}

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
