"""A train cell that is not trained: it takes the tensors of a file that `zsad import` wrote, under its own header.

From there on it is a checkpoint like any other: predicted with, scored, registered, served. Its one seed holds the
draws stored in that file. The name of the file holds the hash of its content, so DVC sees by params.yaml alone when
there is something else to copy.
"""

from pathlib import Path
from typing import Any

import torch

from zsad import checkpoint
from zsad.checkpoint import Header
from zsad.config import Configuration, Params
from zsad.datasets.manifest import load_manifest
from zsad.errors import UserError
from zsad.io import file_sha256
from zsad.learners.base import build_config, learner_class
from zsad.training_cell import Report, TrainingCell, head_of


def copy_imported(params: Params, configuration: Configuration, source: str, seed: int, report: Report) -> None:
    """Write data/checkpoints/<key>/<source> from the configuration's imported file; no picture of the source is read.

    Settings that the configuration gives must be those the file was imported with; the others are the file's.
    """
    path = Path(configuration.imported_for(source) or "")
    origin = _header(configuration, path)
    _check_settings(configuration, source, origin, path)
    clip, backbone = checkpoint.load_configured_clip(configuration, torch.device("cpu"))
    _check_backbone(configuration, backbone, origin, path)
    learner, _ = checkpoint.load(path, clip)
    digest = (origin.imported or {})["sha256"]
    manifest = load_manifest(source)
    head = head_of(params, configuration, source, manifest, learner.config, backbone)
    cell = TrainingCell(head, [seed], report, {"imported": digest, "trained": True}, manifest.trainable)
    cell.announce(0, imported=digest)
    with cell.checkpoints() as save:
        save(seed, learner, imported=origin.imported)


def _header(configuration: Configuration, path: Path) -> Header:
    """Header of an imported file of the configuration's method."""
    where, method = f"params.yaml: learners.{configuration.key}.imported", configuration.method
    if not learner_class(method).trained:
        raise UserError(f"{where}: {method} learns nothing, so there is nothing to import; remove the key")
    if not path.is_file():
        raise UserError(f"{where}: {path} is not there; make it with `zsad import {method} FILE`")
    origin = checkpoint.read_header(path)
    if origin.imported is None:
        raise UserError(f"{where}: {path} was trained here, not written by `zsad import`")
    if origin.method != method:
        raise UserError(f"{where}: {path} is of method {origin.method}, but the configuration's is {method}")
    if file_sha256(path)[:12] != path.stem.rpartition("_")[2]:
        raise UserError(
            f"{where}: {path} is not the file its name tells of: it was changed or renamed; import the official"
            f" file again with `zsad import {method} FILE`"
        )
    return origin


def _check_settings(configuration: Configuration, source: str, origin: Header, path: Path) -> None:
    given, where = configuration.settings_for(source), f"learners.{configuration.key}"
    wanted: dict[str, Any] = build_config(configuration.method, given, where).model_dump(mode="json")
    found = build_config(configuration.method, origin.settings, f"{path}: settings").model_dump(mode="json")
    unlike = [name for name in given if wanted[name] != found[name]]
    if unlike:
        told = "; ".join(f"{where}.{name} is {wanted[name]!r}, but {path} has {found[name]!r}" for name in unlike)
        raise UserError(
            f"params.yaml: {told}; remove the setting, or import the official file again with --set NAME=VALUE"
        )


def _check_backbone(configuration: Configuration, backbone: dict[str, Any], origin: Header, path: Path) -> None:
    unlike = [name for name in ("sha256", "image_size", "activation") if backbone[name] != origin.backbone[name]]
    if unlike:
        key = configuration.backbone_key
        raise UserError(
            f"params.yaml: learners.{configuration.key}.backbone: {key} is {backbone}, but {path} was imported for"
            f" {origin.backbone}; import the official file again with --backbone {key}"
        )
