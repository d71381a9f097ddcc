"""A compositional prompt ensemble: normal and anomalous states × templates around the class name, nothing learned."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.backbone import Clip
from zsad.clip.text import TextTower
from zsad.config.schema import Block, Protocol
from zsad.learners.base import Learner
from zsad.learners.shared.states import States


class PromptConfig(Block):
    """What can be set where prompts are written by hand."""

    states: States | None = None
    """Own words: lists `normal`, `anomalous` and `templates`, `{}` where the object goes. null = WinCLIP's lists."""


class PromptEnsemble(Learner):
    """A learner whose text side is two prototypes per class name: hand-written, computed once per name."""

    trained = False

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        self.states = config.states or States()
        self._prototypes: dict[str, Tensor] = {}

    def say(self, states: States) -> None:
        """Write the prompts with other words from now on."""
        self.states = states
        self._prototypes.clear()

    @torch.no_grad()
    def prototypes(self, name: str) -> Tensor:
        """Unit text prototypes [2, D] of a class name: normal, anomalous."""
        if name not in self._prototypes:
            self._prototypes[name] = prototypes(self.clip.text, self.states, name)
        return self._prototypes[name]


def prototypes(text: TextTower, words: States, name: str) -> Tensor:
    """Unit text prototypes [2, D] of a class name: normal, anomalous; means of embeddings of any length."""
    means = [
        text.encode_strings([template.format(state.format(name)) for state in states for template in words.templates])
        for states in (words.normal, words.anomalous)
    ]
    return F.normalize(torch.stack([embeddings.mean(0) for embeddings in means]), dim=-1)
