"""The only training loop: all phases of one learner over the frozen features of its source, epoch by epoch.

A method trains in one or more phases; each has an Adam of its own, and moves the parameters it names and no others.
Each epoch starts from a seed of its own, and learning rates follow the step alone, so a killed run resumes after its
last whole epoch and ends in the same bytes as one that was never interrupted. CLIP must come out as it went in.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zsad.common.cpu import without_subnormals
from zsad.common.io import atomic_path
from zsad.common.progress import log, progress
from zsad.common.seeding import derive_seed, seed_everything
from zsad.learners.base import Learner, Phase
from zsad.training.cell import Report
from zsad.training.checks import check_clip_unchanged, check_finite, clip_sums
from zsad.training.features import SourceData


@dataclass(frozen=True)
class Trainer:
    """What the seeds of a train cell share. `where`: path of the configuration in params.yaml, for messages."""

    data: SourceData
    scratch: Path
    deterministic: bool
    report: Report
    where: str

    def fit(self, learner: Learner, seed: int) -> None:
        """All phases over the frozen features, from the last epoch that `scratch` holds of this seed."""
        frozen = clip_sums(learner.clip)
        path = self.scratch / f"seed_{seed}.pt"
        phases = learner.phases()
        total = sum(phase.epochs for phase in phases)
        done, optimizer_state = _resume(learner, path)
        begin = 0
        for phase in phases:
            _train_only(learner, phase)
            optimizer = make_adam(phase, learner.config.betas)
            if begin < done < begin + phase.epochs:
                optimizer.load_state_dict(optimizer_state)
            for epoch in range(max(begin, done), begin + phase.epochs):
                seed_everything(derive_seed("epoch", seed, epoch), self.deterministic)
                label = f"{self.where} seed {seed} epoch {epoch + 1}/{total}"
                with without_subnormals():
                    fields = self._epoch(learner, phase, optimizer, epoch - begin, label)
                _save_state(learner, optimizer, path, epoch + 1)
                self.report("epoch", seed=seed, epoch=epoch, **fields)
            begin += phase.epochs
        check_clip_unchanged(learner.clip, frozen)

    def _epoch(self, learner: Learner, phase: Phase, optimizer: Any, epoch: int, label: str) -> dict[str, Any]:
        """One pass in random order: losses (means over images, of the sum and of each term), seconds, speed."""
        started = time.monotonic()
        learner.train()
        sums: dict[str, Tensor] = {}
        batches = self.data.shuffled().split(phase.batch_size or learner.config.train_batch_size)
        for step, indices in enumerate(progress(batches, len(batches), label), start=epoch * len(batches)):
            _set_learning_rates(optimizer, phase, step, len(batches))
            optimizer.zero_grad()
            terms = phase.loss(self.data.batch(indices.tolist()))
            total = torch.stack(list(terms.values())).sum()
            total.backward()
            optimizer.step()
            for name, value in {"loss": total, **terms}.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach() * len(indices)
        losses = {name: (value / len(self.data)).item() for name, value in sums.items()}
        check_finite(learner, losses, f"params.yaml: {label}", self.where)
        log(f"{label}: " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
        seconds = time.monotonic() - started
        return {"losses": losses, "seconds": seconds, "images_per_second": len(self.data) / seconds}


def make_adam(phase: Phase, betas: tuple[float, float]) -> torch.optim.Adam:
    """The phase's optimiser, fused: torch.sqrt, which the other forms call, differs between processors."""
    return torch.optim.Adam([dict(group) for group in phase.groups], betas=betas, fused=True)


def _train_only(learner: Learner, phase: Phase) -> None:
    """Gradients for the phase's parameters alone."""
    learner.zero_grad()
    learner.requires_grad_(False)
    for group in phase.groups:
        for parameter in group["params"]:
            parameter.requires_grad_(True)


def _set_learning_rates(optimizer: Any, phase: Phase, step: int, steps_per_epoch: int) -> None:
    """Each group's own rate, times the schedule's factor at this step of the phase."""
    factor = phase.schedule.factor(step, steps_per_epoch) if phase.schedule else 1.0
    for group, wanted in zip(optimizer.param_groups, phase.groups, strict=True):
        group["lr"] = wanted["lr"] * factor


def _save_state(learner: Learner, optimizer: Any, path: Path, epochs_done: int) -> None:
    with atomic_path(path) as temporary:
        state = {"epochs": epochs_done, "learner": learner.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, temporary)


def _resume(learner: Learner, path: Path) -> tuple[int, dict[str, Any]]:
    """(epochs already done, the optimizer's state after them); 0 when there is no state to go on from."""
    if not path.is_file():
        return 0, {}
    state = torch.load(path, weights_only=True, map_location="cpu")
    learner.load_state_dict(state["learner"])
    log(f"resuming {path.stem} after epoch {state['epochs']}")
    return int(state["epochs"]), state["optimizer"]
