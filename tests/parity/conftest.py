"""The training case of the golden tensors: three batches of four images, and Adam as the official codes set it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from zsad.learners.base import Batch


def sample(values: Tensor) -> Tensor:
    """About 200 evenly spaced entries: what the golden files hold of a gradient or a parameter."""
    flat = values.detach().flatten()
    return flat[:: max(1, flat.numel() // 200)]


@dataclass
class Steps:
    """Losses of each step, gradients of the first and parameters after the last."""

    losses: list[dict[str, float]] = field(default_factory=list)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)

    def gradient_gap(self, name: str, wanted: Tensor) -> float:
        """Largest difference, relative to the largest entry."""
        return ((sample(self.gradients[name]) - wanted).abs().max() / wanted.abs().max()).item()

    def value_gap(self, name: str, wanted: Tensor) -> float:
        """Mean difference: single entries whose gradient is rounding noise may step the other way (Adam)."""
        return (sample(self.values[name]) - wanted).abs().mean().item()


@pytest.fixture(scope="session")
def run_steps() -> Callable[..., Steps]:
    """run_steps(learner, batches, before=callback(step)): Adam, lr 0.001, betas (0.5, 0.999)."""

    def run(learner: Any, batches: list[Batch], before: Callable[[int], None] = lambda step: None) -> Steps:
        optimizer = torch.optim.Adam(learner.parameters(), lr=0.001, betas=(0.5, 0.999))
        steps = Steps()
        for i, batch in enumerate(batches):
            before(i)
            optimizer.zero_grad()
            terms = learner.loss(batch)
            torch.stack(list(terms.values())).sum().backward()
            steps.losses.append({name: value.item() for name, value in terms.items()})
            if i == 0:
                steps.gradients = {name: value.grad.clone() for name, value in learner.named_parameters()}
            optimizer.step()
        steps.values = {name: value.detach().clone() for name, value in learner.named_parameters()}
        return steps

    return run


@pytest.fixture(scope="module")
def features(request, clip, build, pictures) -> Any:
    """Image features of the twelve pictures, as the module's METHOD reads them."""
    return clip.image.encode(pictures, build(request.module.METHOD).spec)
