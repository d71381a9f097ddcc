"""Checkpoints: one safetensors file per seed that holds everything needed to predict.

A zero-shot learner is one model for whatever comes. A few-shot one is a model per category of its target: their tensors
stand in one file as `<category>/<tensor>`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zsad.clip import weights
from zsad.clip.backbone import Clip, load_clip
from zsad.clip.weights import WEIGHTS
from zsad.common.errors import UserError
from zsad.common.io import file_sha256, read_json, read_tensors, write_tensors
from zsad.config.configuration import Configuration
from zsad.config.schema import Protocol
from zsad.learners.base import Learner
from zsad.learners.lookup import build_config, learner_class, make_learner

FORMAT = 1


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself: the metadata of its file.

    source: the set it was trained on, or adapted to; categories: of a few-shot checkpoint, by name: `prompt_name`,
    `support` (paths of the pictures it was adapted to, below the set's root).
    """

    learner: str
    method: str
    protocol: Protocol
    source: str
    seed: int
    settings: dict[str, Any]
    backbone: dict[str, Any]  # name, pretrained, image_size, sha256, activation
    config_hash: str
    dataset_hash: str
    format: int = FORMAT
    imported: dict[str, str] | None = None  # the official file: name, sha256
    shots: int | None = None
    categories: dict[str, Any] | None = None


def save(path: Path, learner: Learner | Mapping[str, Learner], header: Header) -> str:
    """Write the file, of one learner or of a learner for each category; returns its sha256."""
    metadata = {name: value for name, value in asdict(header).items() if value is not None}
    if isinstance(learner, Learner):
        tensors = learner.checkpoint()
    else:
        tensors = {f"{c}/{name}": t for c, own in learner.items() for name, t in own.checkpoint().items()}
    write_tensors(path, tensors, metadata)
    return file_sha256(path)


def load(path: Path, clip: Clip | None = None, device: torch.device | None = None) -> tuple[Learner, Header]:
    """The learner of a checkpoint that serves any category, ready to score. `clip`, `device`: as in `load_all`."""
    learners, header = load_all(path, clip, device)
    if "" not in learners:
        raise UserError(f"{path}: a few-shot checkpoint holds a model for each of: {', '.join(learners)}")
    return learners[""], header


def load_all(
    path: Path, clip: Clip | None = None, device: torch.device | None = None
) -> tuple[dict[str, Learner], Header]:
    """The learners of a checkpoint by category, ready to score; "" serves any category (zero-shot).

    clip: reuse these towers; otherwise its own are found, and put on `device`.
    """
    tensors, metadata = read_tensors(path)
    header = _header(metadata, path)
    clip = clip or clip_of(header, device or torch.device("cpu"))
    if (clip.sha256, clip.image_size) != (header.backbone["sha256"], header.backbone["image_size"]):
        raise UserError(f"{path}: trained on another backbone ({header.backbone}); train it again: `dvc repro`")
    config = build_config(header.method, header.settings, f"{path}: settings")
    learners = {}
    for category, own in _by_category(tensors, header, path).items():
        learner = make_learner(header.method, config, clip, header.protocol, header.shots or 0)
        learner.restore(own, path)
        learners[category] = learner.eval()
    return learners, header


def _by_category(tensors: dict[str, Tensor], header: Header, path: Path) -> dict[str, dict[str, Tensor]]:
    if header.categories is None:
        return {"": tensors}
    found: dict[str, dict[str, Tensor]] = {category: {} for category in header.categories}
    for name, tensor in tensors.items():
        category, _, inner = name.partition("/")
        if category not in found:
            raise UserError(f"{path}: not a checkpoint of this configuration: unknown {name}")
        found[category][inner] = tensor
    return found


def read_header(path: Path) -> Header:
    """What a checkpoint says of itself, without building anything."""
    return _header(read_tensors(path)[1], path)


def clip_of(header: Header, device: torch.device) -> Clip:
    """The towers a checkpoint was trained with, checked by the hash of their weights."""
    method = learner_class(header.method)
    directory = weights.find(header.backbone)
    size = header.backbone["image_size"]
    return load_clip(directory, size, method.openai_activation, method.position_resize, device)


def _header(metadata: dict[str, Any], path: Path) -> Header:
    try:
        header = Header(**metadata)
    except TypeError:
        header = None
    if header is None or header.format != FORMAT:
        raise UserError(f"{path}: not a checkpoint of this version of zsad; train one with `dvc repro`")
    return header


def load_configured_clip(configuration: Configuration, device: torch.device) -> tuple[Clip, dict[str, Any]]:
    """The towers of a configuration and their identity, as checkpoints record it."""
    method = learner_class(configuration.method)
    directory = WEIGHTS / configuration.backbone_key
    identity = read_json(directory / "backbone.json")
    clip = load_clip(
        directory, configuration.backbone.image_size, method.openai_activation, method.position_resize, device
    )
    return clip, {
        "name": identity["name"],
        "pretrained": identity["pretrained"],
        "sha256": clip.sha256,
        "image_size": clip.image_size,
        "activation": clip.activation,
    }
