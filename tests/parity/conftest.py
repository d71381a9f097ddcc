"""The training case of the golden tensors: three batches of four images, and the trainer's Adam."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.parity.closeness import (
    GRADIENT,
    HALF_GRADIENT,
    HALF_UPDATE,
    LATER_LOSS,
    LOSS,
    NORM_GRADIENT,
    SHIFTED_UPDATE,
    UPDATE,
    check,
    check_update,
)
from zsad.learners.base import Batch
from zsad.training import loop

KINDS = {  # by how names begin
    "compound": (HALF_GRADIENT, HALF_UPDATE),
    "pq_learner": (NORM_GRADIENT, SHIFTED_UPDATE),
    "visual_learner": (NORM_GRADIENT, UPDATE),
}


def sample(values: Tensor) -> Tensor:
    """About 200 evenly spaced entries: what the golden files hold of a gradient or a parameter."""
    flat = values.detach().flatten()
    return flat[:: max(1, flat.numel() // 200)]


@dataclass
class Steps:
    """Losses of each step, gradients of the first and parameters after the last."""

    rate: float  # sum of the steps' learning rates
    losses: list[dict[str, float]] = field(default_factory=list)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)

    def check(self, golden: Mapping[str, Tensor], prefix: str) -> None:
        """Against a golden run's losses, first gradients and last values."""
        for i, terms in enumerate(self.losses):
            for name, value in terms.items():
                check(f"loss {name}, step {i}", value, golden[f"{prefix}_loss_{name}"][i], LATER_LOSS if i else LOSS)
        for name, gradient in self.gradients.items():
            first, update = next((own for kind, own in KINDS.items() if name.startswith(kind)), (GRADIENT, UPDATE))
            wanted, value = (golden[f"{prefix}_{what}.{name}"] for what in ("grad", "value"))
            check(f"gradient of {name}", sample(gradient), wanted, first)
            check_update(f"value of {name}", sample(self.values[name]), value, wanted, self.rate, update)


@pytest.fixture(scope="session")
def run_steps() -> Callable[..., Steps]:
    """run_steps(learner, batches, before=callback(step), stage=0): a phase with the trainer's Adam, as one epoch."""

    def run(
        learner: Any, batches: list[Batch], before: Callable[[int], None] = lambda step: None, stage: int = 0
    ) -> Steps:
        phase = learner.phases()[stage]
        optimizer = loop.make_adam(phase, learner.config.betas)
        trained = {parameter for group in phase.groups for parameter in group["params"]}
        steps = Steps(rate=0)
        for i, batch in enumerate(batches):
            before(i)
            loop._set_learning_rates(optimizer, phase, i, len(batches))
            steps.rate += optimizer.param_groups[0]["lr"]
            optimizer.zero_grad()
            terms = phase.loss(batch)
            torch.stack(list(terms.values())).sum().backward()
            steps.losses.append({name: value.item() for name, value in terms.items()})
            if i == 0:
                steps.gradients = {n: value.grad.clone() for n, value in learner.named_parameters() if value in trained}
            optimizer.step()
        steps.values = {n: value.detach().clone() for n, value in learner.named_parameters() if value in trained}
        return steps

    return run


@pytest.fixture(scope="module")
def features(request, clip, build, pictures) -> Any:
    """Image features of the twelve pictures, as the module's METHOD reads them."""
    return clip.image.encode(pictures, build(request.module.METHOD).spec)
