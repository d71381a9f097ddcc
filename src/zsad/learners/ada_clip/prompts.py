"""Prompts of AdaCLIP: states × templates around the class name, and learned tokens. Part of the method in `__init__`.

Shapes: B images, m tokens of a prompted block, C width of the tower, D joint width.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from zsad.learners.shared.states import NORMAL_STATES, WITH_BROKEN

TEMPLATES = (
    "a bad photo of a {}.",
    "a low resolution photo of the {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
)


def prompts(name: str) -> tuple[list[str], list[str]]:
    """The normal and the anomalous prompts of a class name; hyphens become spaces."""
    normal, anomalous = (
        [template.format(state.format(name.replace("-", " "))) for state in states for template in TEMPLATES]
        for states in (NORMAL_STATES, WITH_BROKEN)
    )
    return normal, anomalous


class Heads(nn.Module):
    """Linear maps side by side."""

    def __init__(self, inputs: int, outputs: int, count: int) -> None:
        super().__init__()
        self.head = nn.ModuleList(nn.Linear(inputs, outputs) for _ in range(count))

    def each(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Each map of its own input."""
        return [head(x) for head, x in zip(self.head, xs, strict=True)]

    def forward(self, x_BD: Tensor) -> Tensor:
        """All maps of one input: [B, count, outputs]."""
        return torch.stack([head(x_BD) for head in self.head], dim=1)


class StaticPrompts(nn.Module):
    """Tokens [m, C] of each prompted block, by its index."""

    def __init__(self, blocks: Iterable[int], length: int, width: int) -> None:
        super().__init__()
        self.static_prompts = nn.ParameterDict({str(i): 0.02 * torch.randn(length, width) for i in blocks})

    def at(self, block: int) -> Tensor:
        """Those of one block."""
        return self.static_prompts[str(block)]
