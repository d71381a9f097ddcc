"""Checkpoints: one safetensors file per seed that holds everything needed to predict, and the record beside them."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from zsad.clip import weights
from zsad.clip.backbone import Clip, load_clip
from zsad.code import WEIGHTS
from zsad.config import Configuration, Protocol
from zsad.errors import UserError
from zsad.io import file_sha256, read_json, read_tensors, write_tensors
from zsad.learners.base import Learner, build_config, learner_class

FORMAT = 1


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself: the metadata of its file."""

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


def save(path: Path, learner: Learner, header: Header) -> str:
    """Write the file; returns its sha256."""
    metadata = {name: value for name, value in asdict(header).items() if value is not None}
    write_tensors(path, learner.checkpoint(), metadata)
    return file_sha256(path)


def load(path: Path, clip: Clip | None = None, device: torch.device | None = None) -> tuple[Learner, Header]:
    """The learner of a checkpoint, ready to score. `clip`: reuse these towers; otherwise its own are found."""
    tensors, metadata = read_tensors(path)
    header = _header(metadata, path)
    clip = clip or clip_of(header, device or torch.device("cpu"))
    if (clip.sha256, clip.image_size) != (header.backbone["sha256"], header.backbone["image_size"]):
        raise UserError(f"{path}: trained on another backbone ({header.backbone}); train it again: `dvc repro`")
    config = build_config(header.method, header.settings, f"{path}: settings")
    learner = learner_class(header.method)(config, clip, header.protocol).to(clip.device)
    learner.restore(tensors, path)
    return learner.eval(), header


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
