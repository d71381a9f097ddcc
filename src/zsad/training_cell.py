"""A train or adapt cell, data/checkpoints/<KEY>/<SOURCE or TARGET>: its lock, its header, its files and its journal."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from zsad import checkpoint
from zsad.cells import CHECKPOINTS
from zsad.checkpoint import Header
from zsad.clip.backbone import Clip
from zsad.config import Block, Configuration, Params
from zsad.datasets.leaks import record_pictures
from zsad.datasets.manifest import Manifest, Row
from zsad.errors import UserError
from zsad.io import atomic_directory, write_json
from zsad.learners.base import Learner, build_config, learner_class, make_learner

RECORD = "checkpoint.json"

Report = Callable[..., None]  # report(event, **fields): training tells what happens, tracking listens


@dataclass(frozen=True)
class TrainingCell:
    """What journal, checkpoint files and checkpoint.json say alike.

    head: fields of `Header` that all seeds share; more: what checkpoint.json says besides; seen: what is learned from.
    """

    head: dict[str, Any]
    seeds: Sequence[int]
    report: Report
    more: Mapping[str, Any] = field(default_factory=dict)
    seen: Iterable[Row] = ()
    started: float = field(default_factory=time.monotonic)

    @property
    def record(self) -> dict[str, Any]:
        """checkpoint.json, the files apart."""
        return {**self.head, **self.more, "seeds": list(self.seeds)}

    def announce(self, n_images: int, **params: Any) -> None:
        """The journal's `start`; `n_images`: how many pictures are learned from."""
        head = self.head
        self.report(
            "start",
            **{name: head[name] for name in ("learner", "source", "method", "protocol", "config_hash")},
            **({"shots": head["shots"]} if "shots" in head else {}),
            params={"seeds": list(self.seeds), "backbone": head["backbone"], **head["settings"], **params},
            dataset={"name": head["source"], "hash": head["dataset_hash"], "n_images": n_images},
        )

    @contextmanager
    def checkpoints(self) -> Iterator[Callable[..., None]]:
        """save(seed, learner or {category: learner}, **own fields of the header); the cell appears whole or not."""
        files: dict[str, str] = {}
        with atomic_directory(CHECKPOINTS / self.head["learner"] / self.head["source"]) as directory:

            def save(seed: int, learner: Learner | Mapping[str, Learner], **own: Any) -> None:
                header = Header(**self.head, **own, seed=seed)
                files[str(seed)] = checkpoint.save(directory / f"seed_{seed}.safetensors", learner, header)

            yield save
            record_pictures(directory, self.head["source"], self.seen)
            write_json(directory / RECORD, {**self.record, "files": files})
        self.report("end", checkpoints=files, wall_seconds=time.monotonic() - self.started)


def head_of(
    params: Params, configuration: Configuration, source: str, manifest: Manifest, settings: Block, backbone: Any
) -> dict[str, Any]:
    """The fields of `Header` that all seeds of a cell share."""
    return {
        "learner": configuration.key,
        "method": configuration.method,
        "protocol": configuration.protocol,
        "source": source,
        "settings": settings.model_dump(mode="json"),
        "backbone": backbone,
        "config_hash": configuration.hash(params),
        "dataset_hash": manifest.hash,
        **({"shots": configuration.shots} if configuration.shots else {}),
    }


def write_unused(key: str, source: str, reason: str) -> None:
    """A cell without checkpoints, whose record says why."""
    with atomic_directory(CHECKPOINTS / key / source) as directory:
        write_json(directory / RECORD, {"learner": key, "source": source, "unused": reason})


def build_learner(configuration: Configuration, settings: Block, clip: Clip) -> Learner:
    """An untrained learner; settings that do not fit this backbone are named by their place in params.yaml."""
    try:
        learner = make_learner(configuration.method, settings, clip, configuration.protocol, configuration.shots)
    except UserError as error:
        raise UserError(f"params.yaml: {configuration.where}: {error}") from error
    return learner


def check_all_settings(params: Params) -> None:
    """Every configuration's settings are typed, not only this one's: a typo shows in the first minute of a long run."""
    for key in params.configurations:
        configuration = params.configuration(key)
        _check_track(configuration)
        build_config(configuration.method, configuration.settings, configuration.where)
        for source, settings in configuration.per_source.items():
            build_config(configuration.method, settings, f"{configuration.where}.per_source.{source}")


def _check_track(configuration: Configuration) -> None:
    """A method stands under the block of its kind."""
    few_shot = learner_class(configuration.method).few_shot
    if few_shot and not configuration.shots:
        raise UserError(
            f"params.yaml: {configuration.where}: {configuration.method} is adapted to a target from a few of its"
            f" pictures; move the block under `few_shot` and give it `shots`"
        )
    if configuration.shots and not few_shot:
        raise UserError(
            f"params.yaml: {configuration.where}: {configuration.method} learns from an auxiliary source, not from"
            f" shots; move the block under `learners`"
        )


def choose_device(params: Params) -> torch.device:
    """`device` of params.yaml; auto takes a GPU when there is one."""
    cuda = torch.cuda.is_available()
    if params.device == "cuda" and not cuda:
        raise UserError("params.yaml: device: cuda asked for, but torch sees no GPU; use auto or cpu")
    return torch.device("cuda" if cuda and params.device != "cpu" else "cpu")


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the cell's lock file; a second process is told to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise UserError(f"{path}: another process is training this cell; wait for it or stop it") from None
