"""A train cell that is not trained: it takes the tensors of a file that `zsad import` wrote, under its own header.

From there on it is a checkpoint like any other: predicted with, scored, registered, served. Its one seed holds the
draws stored in that file. The name of the file holds the hash of its content, so DVC sees by params.yaml alone when
there is something else to copy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.config.configuration import Configuration, OnSource
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest
from zsad.learners.lookup import build_config, learner_class
from zsad.training import checkpoint
from zsad.training.cell import Cell, Report
from zsad.training.checkpoint import Header
from zsad.training.setup import set_up


def copy_imported(
    params: Params, configuration: Configuration, here: OnSource, manifest: Manifest, seed: int, report: Report
) -> None:
    """Write data/checkpoints/<key>/<source> from `here.imported`; no picture of the source is read.

    Settings that the configuration gives must be those the file was imported with; the others are the file's.
    """
    path = Path(here.imported or "")
    origin = _header(configuration, path)
    _check_settings(configuration, here, origin, path)
    setup = set_up(params, configuration, origin.settings)
    _check_backbone(configuration, setup.backbone, origin, path)
    learner, _ = checkpoint.load(path, setup.clip)
    official = origin.imported or {}
    record = setup.record(manifest, [seed], trained=True, imported=official["sha256"])
    cell = Cell(record, report, manifest.trainable)
    cell.announce(0, imported=official["sha256"])
    with cell.checkpoints() as save:
        save(seed, learner, imported=official)


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


def _check_settings(configuration: Configuration, here: OnSource, origin: Header, path: Path) -> None:
    given, where = here.settings, f"learners.{configuration.key}"
    wanted: dict[str, Any] = build_config(configuration.method, given, where).model_dump(mode="json")
    found = build_config(configuration.method, origin.settings, f"{path}: settings").model_dump(mode="json")
    unlike = [name for name in given if wanted[name] != found[name]]
    if unlike:
        told = "; ".join(f"{where}.{name} is {wanted[name]!r}, but {path} has {found[name]!r}" for name in unlike)
        raise UserError(
            f"params.yaml: {told}; remove the setting, or import the official file again with --set NAME=VALUE"
        )


def _check_backbone(configuration: Configuration, backbone: Mapping[str, Any], origin: Header, path: Path) -> None:
    unlike = [name for name in ("sha256", "image_size", "activation") if backbone[name] != origin.backbone[name]]
    if unlike:
        key = configuration.backbone_key
        raise UserError(
            f"params.yaml: learners.{configuration.key}.backbone: {key} is {backbone}, but {path} was imported for"
            f" {origin.backbone}; import the official file again with --backbone {key}"
        )
