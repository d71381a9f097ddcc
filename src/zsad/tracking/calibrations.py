"""Where calibrations are kept, by name: as a tag of a registered version, or as a file.

A version has the tag `calibration.<name>`, JSON text. The same is kept in data/registry/calibrations, by the
checkpoint's hash, from where `register` gives it to a version made anew. There alone are those of checkpoints that are
no version and lie where DVC holds every file, as in data/checkpoints. Any other checkpoint file has them beside itself.
MLflow is loaded only for `models:/…`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsad.common.errors import UserError
from zsad.common.io import canonical_json, file_sha256
from zsad.config.params import PARAMS_FILE
from zsad.inference.calibration import (
    SUFFIX,
    Calibration,
    beside,
    check_name,
    read_all,
    read_all_beside,
    write_calibration,
)
from zsad.training.record import CHECKPOINTS

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from zsad.tracking.connection import Store

TAG = "calibration."  # of a registered version, before the name
KEPT = Path("data/registry/calibrations")  # <sha256 of the checkpoint>/<name>.calibration.json


def of_model(model: str, checkpoint: Path) -> dict[str, Calibration]:
    """All calibrations of a model, by name. checkpoint: the file that `model` means (`loading.find_checkpoint`)."""
    sha256 = file_sha256(checkpoint)
    found = _all(model, checkpoint, sha256)
    return {name: one for name, one in sorted(found.items()) if one.checkpoint_sha256 == sha256}


def find(model: str, checkpoint: Path, name: str) -> Calibration:
    """The calibration of that name; UserError with those there are, or when it was made for another checkpoint."""
    check_name(name)
    sha256 = file_sha256(checkpoint)
    found = _all(model, checkpoint, sha256)
    if name not in found:
        there = ", ".join(sorted(found)) or f"none; `zsad calibrate {model} FOLDER --name {name}` makes it"
        raise UserError(f"calibration {name}: not of {model}, which has: {there}")
    found[name].check_model(sha256)
    return found[name]


def keep(model: str, checkpoint: Path, calibration: Calibration) -> str:
    """Keep it where `find` looks, in place of one of its name; returns where that is."""
    if not model.startswith("models:/"):
        path = _file(model, checkpoint, calibration)
        write_calibration(path, calibration)
        return str(path)
    from zsad.tracking.addresses import version_of
    from zsad.tracking.connection import open_store

    with open_store() as store:
        version = version_of(store, model)
        _tag(store, version, calibration)
    if Path(PARAMS_FILE).is_file():  # in a repository
        write_calibration(_kept(calibration), calibration)
    return f"models:/{version.name}/{version.version}, tag {TAG}{calibration.name}"


def restore(store: "Store", version: "ModelVersion", others: list["ModelVersion"]) -> None:
    """Give a version the calibrations of its checkpoint that it has not: from files, or from other versions with it."""
    sha256 = version.tags["checkpoint_sha256"]
    same = [other for other in others if other.tags.get("checkpoint_sha256") == sha256]
    known = {name: one for other in same for name, one in of_version(other).items()}
    for name, one in {**known, **read_all(KEPT / sha256)}.items():
        if f"{TAG}{name}" not in version.tags:
            _tag(store, version, one)


def of_version(version: "ModelVersion") -> dict[str, Calibration]:
    """The calibrations that the tags of a version hold, by name."""
    return dict(_tagged(version.tags, f"models:/{version.name}/{version.version}"))


def _tagged(tags: Mapping[str, str], where: str) -> Iterator[tuple[str, Calibration]]:
    for tag, text in tags.items():
        if tag.startswith(TAG):
            yield tag.removeprefix(TAG), Calibration.from_dict(_parsed(text), f"{where}: tag {tag}")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def _tag(store: "Store", version: "ModelVersion", calibration: Calibration) -> None:
    """As a tag; beside the checkpoint in the version's artifacts, from where it is served; and in its card."""
    from zsad.tracking.cards import with_calibrations
    from zsad.tracking.mlflow_model import put_beside_checkpoint

    text, client = canonical_json(calibration.as_dict()), store.client
    put_beside_checkpoint(store, version, calibration)
    client.set_model_version_tag(version.name, version.version, f"{TAG}{calibration.name}", text)
    now = client.get_model_version(version.name, version.version)
    if (card := with_calibrations(now.description or "", of_version(now).values())) != now.description:
        client.update_model_version(version.name, version.version, card)


def _all(model: str, checkpoint: Path, sha256: str) -> dict[str, Calibration]:
    files = {**read_all(KEPT / sha256), **read_all_beside(checkpoint)}
    if not model.startswith("models:/"):
        return files
    from zsad.tracking.addresses import version_of
    from zsad.tracking.connection import open_store

    with open_store() as store:
        return {**files, **of_version(version_of(store, model))}


def _file(model: str, checkpoint: Path, calibration: Calibration) -> Path:
    """Beside the checkpoint, but not where the file is not the user's to keep, or DVC would see its folder changed."""
    folder = checkpoint.parent.resolve()
    held = any(Path(f"{place}.dvc").is_file() for place in (folder, *folder.parents))  # by `dvc add`
    if model.startswith("runs:/") or held or folder.is_relative_to(CHECKPOINTS.resolve()):
        return _kept(calibration)
    return beside(checkpoint, calibration.name)


def _kept(calibration: Calibration) -> Path:
    return KEPT / calibration.checkpoint_sha256 / f"{calibration.name}{SUFFIX}"
