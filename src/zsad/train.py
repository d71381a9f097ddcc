"""The only training loop: one process trains all seeds of a configuration on one auxiliary set.

A method trains in one or more phases; each has an Adam of its own, and moves the parameters it names and no others.
Each epoch starts from a seed of its own, and learning rates follow the step alone, so a killed run resumes after its
last whole epoch and ends in the same bytes as one that was never interrupted. CLIP must come out as it went in.
"""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zsad import checkpoint, code
from zsad.cells import why_unused
from zsad.clip.backbone import Clip
from zsad.clip.frozen import check_clip_unchanged, clip_sums
from zsad.config import Configuration, Params
from zsad.datasets.manifest import Manifest, load_manifest
from zsad.errors import UserError
from zsad.imported import copy_imported
from zsad.io import atomic_path, content_hash
from zsad.learners.base import Learner, LearnerConfig, Phase, build_config, learner_class
from zsad.progress import log, progress
from zsad.seeding import derive_seed, seed_everything
from zsad.source_data import SourceData
from zsad.training_cell import (
    Report,
    TrainingCell,
    build_learner,
    check_all_settings,
    choose_device,
    head_of,
    only_one,
    write_unused,
)

SCRATCH = Path("data/scratch/train")


def train(params: Params, key: str, source: str, report: Report, seeds: Sequence[int] | None = None) -> bool:
    """Train `learners.<key>` on `source`, all seeds; writes data/checkpoints/<key>/<source>.

    A source that no target needs with this configuration gets a record that says so, and no tensors: False then.
    """
    configuration = params.configuration(key)
    check_all_settings(params)
    if configuration.shots:
        raise UserError(f"{key}: is a few-shot configuration, which has no source; run `zsad adapt {key} DATASET`")
    reason = why_unused(configuration, source)
    if reason:
        write_unused(key, source, reason)
        log(f"{key} on {source}: nothing to train: {reason}")
        return False
    with only_one(SCRATCH / key / f"{source}.lock"):
        if configuration.imported_for(source):
            copy_imported(params, configuration, source, (seeds or params.seeds)[0], report)
        else:
            _train_cell(params, configuration, source, list(seeds or params.seeds), report)
    return True


def _train_cell(params: Params, configuration: Configuration, source: str, seeds: list[int], report: Report) -> None:
    # Before the first kernel: CUDA reads its settings once.
    seed_everything(derive_seed("features"), params.deterministic)
    manifest = load_manifest(source)
    method = learner_class(configuration.method)
    if method.trained and not manifest.has_pixel_labels:
        raise UserError(f"params.yaml: sources.{source}: training needs anomalous test images with masks; it has none")
    settings = build_config(configuration.method, configuration.settings_for(source), configuration.where)
    clip, backbone = checkpoint.load_configured_clip(configuration, choose_device(params))
    cell = TrainingCell(
        head_of(params, configuration, source, manifest, settings, backbone),
        seeds if method.trained else seeds[:1],
        report,
        {"trained": method.trained},
        manifest.trainable if method.trained else (),
    )
    cell.announce(len(manifest.trainable))
    scratch = SCRATCH / configuration.key / source / content_hash([cell.record, code.package_hash()])
    trainer = _trainer(params, configuration, manifest, clip, settings, scratch, report)
    with cell.checkpoints() as save:
        for seed in cell.seeds:
            seed_everything(derive_seed("init", seed), params.deterministic)
            learner = build_learner(configuration, settings, clip)
            if trainer is not None:
                trainer.fit(learner, seed)
            learner.draw(torch.Generator().manual_seed(derive_seed("draws", seed)))
            save(seed, learner)
    shutil.rmtree(scratch.parent, ignore_errors=True)


def _trainer(
    params: Params,
    configuration: Configuration,
    manifest: Manifest,
    clip: Clip,
    settings: LearnerConfig,
    scratch: Path,
    report: Report,
) -> "Trainer | None":
    """The source with its frozen features, ready to train on; None for a method that is not trained."""
    method = learner_class(configuration.method)
    if not method.trained:
        return None
    learner = build_learner(configuration, settings, clip)
    data = SourceData(manifest, clip, scratch / "features", learner.views, learner.view)
    data.encode(learner.spec, params.batch_size, params.precision, resize_first=configuration.protocol == "paper")
    return Trainer(data, scratch, params.deterministic, report, configuration.where)


@dataclass(frozen=True)
class Trainer:
    """What the seeds of a training cell share. `where`: path of the configuration in params.yaml, for messages."""

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
            optimizer = torch.optim.Adam([dict(group) for group in phase.groups], betas=learner.config.betas)
            if begin < done < begin + phase.epochs:
                optimizer.load_state_dict(optimizer_state)
            for epoch in range(max(begin, done), begin + phase.epochs):
                seed_everything(derive_seed("epoch", seed, epoch), self.deterministic)
                label = f"{self.where} seed {seed} epoch {epoch + 1}/{total}"
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
        batches = self.data.shuffled().split(learner.config.train_batch_size)
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
        finite = all(math.isfinite(value) for value in losses.values())
        if not finite or not all(tensor.isfinite().all() for tensor in learner.state_dict().values()):
            rates = ", ".join(f"{self.where}.{name}" for name in vars(learner.config) if name.startswith("lr"))
            raise UserError(f"params.yaml: {label}: loss or parameters not finite ({losses}); lower {rates}")
        log(f"{label}: " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
        seconds = time.monotonic() - started
        return {"losses": losses, "seconds": seconds, "images_per_second": len(self.data) / seconds}


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
