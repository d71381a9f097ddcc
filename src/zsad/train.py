"""The only training loop: one process trains all seeds of a configuration on one auxiliary set.

Each epoch starts from a seed of its own, so a killed run resumes after its last whole epoch and ends in the same bytes
as one that was never interrupted.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from zsad import checkpoint, code
from zsad.cells import CHECKPOINTS, why_unused
from zsad.checkpoint import Header
from zsad.clip.backbone import Clip
from zsad.config import Configuration, Params
from zsad.datasets.manifest import Manifest, load_manifest
from zsad.errors import UserError
from zsad.io import atomic_directory, atomic_path, content_hash, write_json
from zsad.learners.base import Learner, LearnerConfig, build_config, learner_class
from zsad.progress import log, progress
from zsad.seeding import derive_seed, seed_everything
from zsad.source_data import SourceData

SCRATCH = Path("data/scratch/train")

Report = Callable[..., None]  # report(event, **fields): training tells what happens, tracking listens


def train(params: Params, key: str, source: str, report: Report, seeds: Sequence[int] | None = None) -> bool:
    """Train `learners.<key>` on `source`, all seeds; writes data/checkpoints/<key>/<source>.

    A source that no target needs with this configuration gets a record that says so, and no tensors: False then.
    """
    configuration = params.configuration(key)
    check_all_settings(params)
    reason = why_unused(configuration, source)
    if reason:
        with atomic_directory(CHECKPOINTS / key / source) as directory:
            write_json(directory / "checkpoint.json", {"learner": key, "source": source, "unused": reason})
        log(f"{key} on {source}: nothing to train: {reason}")
        return False
    with _only_one(SCRATCH / key / f"{source}.lock"):
        _train_cell(params, configuration, source, list(seeds or params.seeds), report)
    return True


def check_all_settings(params: Params) -> None:
    """Every configuration's settings are typed, not only this one's: a typo shows in the first minute of a long run."""
    for key in params.learners:
        configuration = params.configuration(key)
        build_config(configuration.method, configuration.settings, f"learners.{key}")
        for source, settings in configuration.per_source.items():
            build_config(configuration.method, settings, f"learners.{key}.per_source.{source}")


def choose_device(params: Params) -> torch.device:
    """`device` of params.yaml; auto takes a GPU when there is one."""
    cuda = torch.cuda.is_available()
    if params.device == "cuda" and not cuda:
        raise UserError("params.yaml: device: cuda asked for, but torch sees no GPU; use auto or cpu")
    return torch.device("cuda" if cuda and params.device != "cpu" else "cpu")


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise UserError(f"{path}: another process is training this cell; wait for it or stop it") from None


def _train_cell(params: Params, configuration: Configuration, source: str, seeds: list[int], report: Report) -> None:
    started = time.monotonic()
    # Before the first kernel: CUDA reads its settings once.
    seed_everything(derive_seed("features"), params.deterministic)
    manifest = load_manifest(source)
    method = learner_class(configuration.method)
    if method.trained and not manifest.has_pixel_labels:
        raise UserError(f"params.yaml: sources.{source}: training needs anomalous test images with masks; it has none")
    settings = build_config(configuration.method, configuration.settings_for(source), f"learners.{configuration.key}")
    clip, backbone = checkpoint.load_configured_clip(configuration, choose_device(params))
    header: dict[str, Any] = {
        "learner": configuration.key,
        "method": configuration.method,
        "protocol": configuration.protocol,
        "source": source,
        "settings": settings.model_dump(mode="json"),
        "backbone": backbone,
        "config_hash": configuration.hash(params),
        "dataset_hash": manifest.hash,
    }
    record = {**header, "trained": method.trained, "seeds": seeds if method.trained else seeds[:1]}
    report(
        "start",
        **{name: header[name] for name in ("learner", "source", "method", "protocol", "config_hash")},
        params={"seeds": record["seeds"], "backbone": backbone, **header["settings"]},
        dataset={"name": source, "hash": manifest.hash, "n_images": len(manifest.test)},
    )
    scratch = SCRATCH / configuration.key / source / content_hash([record, code.package_hash()])
    trainer = _trainer(params, configuration, manifest, clip, settings, scratch, report)
    files = {}
    with atomic_directory(CHECKPOINTS / configuration.key / source) as directory:
        for seed in record["seeds"]:
            seed_everything(derive_seed("init", seed), params.deterministic)
            learner = _build(configuration, settings, clip)
            if trainer is not None:
                trainer.fit(learner, seed)
            learner.draw(torch.Generator().manual_seed(derive_seed("draws", seed)))
            path = directory / f"seed_{seed}.safetensors"
            files[str(seed)] = checkpoint.save(path, learner, Header(**header, seed=seed))
        write_json(directory / "checkpoint.json", {**record, "files": files})
    report("end", checkpoints=files, wall_seconds=time.monotonic() - started)
    shutil.rmtree(scratch.parent, ignore_errors=True)


def _build(configuration: Configuration, settings: LearnerConfig, clip: Clip) -> Learner:
    """An untrained learner; settings that do not fit this backbone are named by their place in params.yaml."""
    try:
        return learner_class(configuration.method)(settings, clip, configuration.protocol).to(clip.device)
    except UserError as error:
        raise UserError(f"params.yaml: learners.{configuration.key}: {error}") from error


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
    data = SourceData(manifest, clip, scratch / "features")
    spec = _build(configuration, settings, clip).spec
    data.encode(spec, params.batch_size, params.precision, resize_first=configuration.protocol == "paper")
    return Trainer(data, scratch, params.deterministic, report, f"learners.{configuration.key}")


@dataclass(frozen=True)
class Trainer:
    """What the seeds of a training cell share. `where`: path of the configuration in params.yaml, for messages."""

    data: SourceData
    scratch: Path
    deterministic: bool
    report: Report
    where: str

    def fit(self, learner: Learner, seed: int) -> None:
        """Adam over the frozen features, from the last epoch that `scratch` holds of this seed."""
        settings = learner.config
        optimizer = torch.optim.Adam(learner.parameters(), lr=settings.lr, betas=settings.betas)
        state = self.scratch / f"seed_{seed}.pt"
        for epoch in range(_resume(learner, optimizer, state), settings.epochs):
            started = time.monotonic()
            seed_everything(derive_seed("epoch", seed, epoch), self.deterministic)
            label = f"{self.where} seed {seed} epoch {epoch + 1}/{settings.epochs}"
            losses = self._epoch(learner, optimizer, settings.train_batch_size, label)
            _save_state(learner, optimizer, state, epoch + 1)
            seconds = time.monotonic() - started
            speed = len(self.data) / seconds
            self.report("epoch", seed=seed, epoch=epoch, losses=losses, seconds=seconds, images_per_second=speed)
            log(f"{label}: " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))

    def _epoch(self, learner: Learner, optimizer: Any, batch_size: int, label: str) -> dict[str, float]:
        """One pass in random order; returns the mean over images of the loss and of each of its terms."""
        learner.train()
        sums: dict[str, Tensor] = {}
        batches = torch.randperm(len(self.data)).split(batch_size)
        for indices in progress(batches, len(batches), label):
            optimizer.zero_grad()
            terms = learner.loss(self.data.batch(indices.tolist()))
            total = torch.stack(list(terms.values())).sum()
            total.backward()
            optimizer.step()
            for name, value in {"loss": total, **terms}.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach() * len(indices)
        losses = {name: (value / len(self.data)).item() for name, value in sums.items()}
        finite = all(math.isfinite(value) for value in losses.values())
        if not finite or not all(tensor.isfinite().all() for tensor in learner.state_dict().values()):
            raise UserError(f"params.yaml: {label}: loss or parameters not finite ({losses}); lower {self.where}.lr")
        return losses


def _save_state(learner: Learner, optimizer: Any, path: Path, epochs_done: int) -> None:
    with atomic_path(path) as temporary:
        state = {"epochs": epochs_done, "learner": learner.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, temporary)


def _resume(learner: Learner, optimizer: Any, path: Path) -> int:
    """Number of epochs already done; 0 when there is no state to go on from."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    learner.load_state_dict(state["learner"])
    optimizer.load_state_dict(state["optimizer"])
    log(f"resuming {path.stem} after epoch {state['epochs']}")
    return int(state["epochs"])
