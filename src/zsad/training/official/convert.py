"""`zsad import`: an official checkpoint, checked tensor by tensor, as a checkpoint of ours in data/imported.

Nothing in the file is run: torch reads it with `weights_only`. What the method's constants were is in no official file;
they are settings of ours, stored with the result. Draws that a method fixes for its tests are those of seed 0.
"""

import importlib
import pickle
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from torch import Tensor

from zsad.common.errors import UserError
from zsad.common.io import content_hash, file_sha256
from zsad.common.seeding import derive_seed
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.config.validation import validate
from zsad.learners.base import Learner, LearnerConfig
from zsad.learners.lookup import learner_class
from zsad.training import checkpoint
from zsad.training.checkpoint import Header
from zsad.training.official.contents import Contents

IMPORTED = Path("data/imported")
MAPPINGS = Path(__file__).parent
OURS = ("contents", "convert", "reuse")  # what here is no mapping
TOLERANCE = 1e-6  # of stored embeddings of CLIP
SHOWN = 12  # misfits of a kind that a message lists


@dataclass(frozen=True)
class Imported:
    """What was written, what it says of itself, and how many tensors and values the official file gave.

    assumed: constants that depend on the training set and were not given, and how to give them; or empty.
    blocks: for `learners` of params.yaml, one for each source that the weights may have been trained on.
    """

    path: Path
    header: Header
    tensors: int
    values: int
    assumed: str
    blocks: list[str]

    @property
    def told(self) -> str:
        """What people are told."""
        settings = ", ".join(f"{name} {value}" for name, value in sorted(self.header.settings.items()))
        file = (self.header.imported or {})["file"]
        lines = [
            f"{self.path} written: {self.tensors} tensors, {self.values:,} values of {file}",
            f"settings: {settings}",
            *([f"ASSUMED: {self.assumed}"] if self.assumed else []),
            "to evaluate it, put the line whose `source` is what these weights were trained on under `learners` in"
            " params.yaml; they are not evaluated there:",
            *(f"  {block}" for block in self.blocks),
        ]
        return "\n".join(lines)


def import_official(
    params: Params, method: str, file: Path, backbone: str | None = None, assignments: Sequence[str] = ()
) -> Imported:
    """Write data/imported/<method>_<12 hex digits of the written bytes' sha256>.safetensors; same input, same bytes.

    `backbone`: key of params.yaml (default: `default`, or the only one). `assignments`: NAME=VALUE settings.
    """
    mapping, given = _mapping(method), _settings(assignments)
    config = _config(method, {**mapping.SETTINGS, **given})
    key = _backbone_key(params, backbone)
    learner, identity = _build(params, method, config, key)
    layout: Contents = mapping.layout(learner)
    tensors = convert(learner, layout, file, f"backbones.{key}")
    learner.draw(torch.Generator().manual_seed(derive_seed("draws", 0)))
    learner.restore({**learner.checkpoint(), **tensors}, file)
    settings = config.model_dump(mode="json")
    header = Header(
        learner=method,
        method=method,
        protocol="strict",
        source="imported",
        seed=0,
        settings=settings,
        backbone=identity,
        config_hash=content_hash([settings, identity]),
        dataset_hash="",
        imported={"file": file.name, "sha256": file_sha256(file)},
    )
    values = sum(tensor.numel() for tensor in tensors.values())
    path, told = _write(learner, header), _assumed(layout, settings, given)
    return Imported(path, header, len(tensors), values, told, _blocks(params, method, path, key))


def _blocks(params: Params, method: str, path: Path, backbone: str) -> list[str]:
    named = f", backbone: {backbone}" if backbone != "default" else ""
    head = f"{method}_official: {{method: {method}, imported: {path}{named}"
    return [f"{head}, source: {source}}}" for source in params.sources or ["DATASET"]]


def importable() -> list[str]:
    """Methods whose official checkpoints can be imported."""
    return sorted(file.stem for file in MAPPINGS.glob("[a-z]*.py") if file.stem not in OURS)


def _write(learner: Learner, header: Header) -> Path:
    """Save under a name that holds the hash of the content: another mapping or setting, another name."""
    IMPORTED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=IMPORTED) as directory:
        temporary = Path(directory) / "new.safetensors"
        digest = checkpoint.save(temporary, learner, header)
        return temporary.replace(IMPORTED / f"{header.method}_{digest[:12]}.safetensors")


def _assumed(layout: Contents, settings: dict[str, Any], given: dict[str, Any]) -> str:
    missing = [f"{name} {settings[name]}" for name in layout.keyed.names if name not in given]
    return f"{', '.join(missing)}: {layout.keyed.remedy}" if missing else ""


def _mapping(method: str) -> ModuleType:
    if method not in importable():
        raise UserError(f"{method}: no official checkpoints of it are known; there are: {', '.join(importable())}")
    return importlib.import_module(f"zsad.training.official.{method}")


def _settings(assignments: Sequence[str]) -> dict[str, Any]:
    settings = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise UserError(f"--set {assignment}: expected NAME=VALUE, such as pool=3")
        try:
            settings[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"--set {assignment}: the value is not valid YAML ({error}); quote it") from error
    return settings


def _config(method: str, settings: dict[str, Any]) -> LearnerConfig:
    return validate(learner_class(method).Config, settings, "--set")


def _backbone_key(params: Params, given: str | None) -> str:
    if given is not None:
        params.backbone(given)
        return given
    if "default" in params.backbones:
        return "default"
    if len(params.backbones) > 1:
        raise UserError(f"--backbone: name one of {', '.join(params.backbones)} (`backbones` of params.yaml)")
    return next(iter(params.backbones))


def _build(params: Params, method: str, config: LearnerConfig, key: str) -> tuple[Learner, dict[str, Any]]:
    """A learner to be filled, and the identity of its backbone."""
    configuration = Configuration(method, method, "strict", key, params.backbone(key), settings={})
    clip, identity = checkpoint.load_configured_clip(configuration, torch.device("cpu"))
    try:
        return learner_class(method)(config, clip), identity
    except UserError as error:
        raise UserError(
            f"{error}; change it with --set NAME=VALUE, or name another CLIP with --backbone KEY (here {key})"
        ) from error


def convert(learner: Learner, layout: Contents, file: Path, backbone: str) -> dict[str, Tensor]:
    """Our parameters from an official file that holds exactly what `layout` says; anything else is refused by name."""
    state = read_official(file, layout.top)
    problems = _misfits(state, layout)
    if problems:
        raise UserError(
            f"{file}: not an official checkpoint for these settings and {backbone}: {'; '.join(problems)}"
            " (lengths follow --set NAME=VALUE, widths and depths --backbone KEY)"
        )
    for name, wanted in layout.frozen.items():
        if not wanted.is_floating_point() and not torch.equal(state[name].long(), wanted.long()):
            raise UserError(f"{file}: {name} holds other prompts than this method's; it is of another variant")
    for name, wanted in layout.frozen.items():
        gap = (state[name].float() - wanted.to(state[name].dtype).float()).abs().max().item()
        if gap > TOLERANCE:
            raise UserError(
                f"{file}: {name} is not {backbone}'s token embedding (largest difference {gap:.2g}): it was trained on"
                " another CLIP; name that one with --backbone KEY"
            )
    if layout.late.names and not any(state[name].any() for name in layout.late.names):
        raise UserError(f"{file}: {layout.late.remedy}")
    ours = learner.checkpoint()
    return {name: state[name].to(ours[name].dtype).reshape(ours[name].shape) for name in layout.trained}


def read_official(file: Path, top: str | tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors below `top` of a file by `torch.save`; programs in it are refused, not run."""
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        program = re.search(r"GLOBAL (\S+)", str(error))  # torch's own message ends in advice to trust the file
        what = f"wants to run {program[1]}; a checkpoint holds tensors only" if program else "is no file of torch.save"
        raise UserError(f"{file}: refused: it {what}; fetch it again from its authors") from error
    except Exception as error:  # whatever a file that is no checkpoint makes the reader stumble over
        raise UserError(f"{file}: not a readable file of torch.save ({error}); fetch it again") from error
    state = _below(content, top, file)
    others = [str(name) for name, value in state.items() if not isinstance(name, str) or not _is_plain(value)]
    if others:
        raise UserError(
            f"{file}: {top if isinstance(top, str) else 'it'} holds what is no plain tensor: {', '.join(others)}"
        )
    return state


def _below(content: Any, top: str | tuple[str, ...], file: Path) -> dict[str, Tensor]:
    """What lies below the one key `top`; where it ends in a dot, a flat file without that beginning of its names.

    Below several keys: all of it, each name after its key and a dot.
    """
    names = list(content) if isinstance(content, dict) else []
    found = _listed(names) or type(content).__name__
    if isinstance(top, tuple):
        if set(names) == set(top) and all(isinstance(part, dict) for part in content.values()):
            return {f"{key}.{name}": value for key, part in content.items() for name, value in part.items()}
        raise UserError(f"{file}: expected the keys {', '.join(top)} with tensors below each, found: {found}")
    if top.endswith("."):
        if names and all(isinstance(name, str) and name.startswith(top) for name in names):
            return {name.removeprefix(top): value for name, value in content.items()}
        raise UserError(f"{file}: expected tensors whose names begin with {top!r}, found: {found}")
    if names != [top] or not isinstance(content[top], dict):
        raise UserError(f"{file}: expected the one key {top!r} with tensors below it, found: {found}")
    below: dict[str, Tensor] = content[top]
    return below


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex())
    )


def _misfits(state: dict[str, Tensor], layout: Contents) -> list[str]:
    """Tensors that are missing, unknown, of another shape or kind, not finite, or unlike what they repeat."""
    shapes, unlike = layout.shapes, []
    for name in sorted(shapes.keys() & state):
        value = state[name]
        whole = name in layout.whole or (name in layout.frozen and not layout.frozen[name].is_floating_point())
        if tuple(value.shape) != shapes[name]:
            unlike.append(f"{name} is {list(value.shape)}, expected {list(shapes[name])}")
        elif value.is_floating_point() == whole:
            unlike.append(f"{name} is {value.dtype}, expected {'whole' if whole else 'real'} numbers")
        elif not value.float().isfinite().all():
            unlike.append(f"{name} holds NaN or infinity")
    missing, unknown = sorted(shapes.keys() - state), sorted(state.keys() - shapes)
    if not (missing or unknown or unlike):
        pairs = layout.copies.items()
        unlike = [f"{copy} differs from {name}" for copy, name in pairs if not torch.equal(state[copy], state[name])]
    kinds = (("missing ", missing), ("unknown ", unknown), ("", unlike))
    return [kind + _listed(names) for kind, names in kinds if names]


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(map(str, items[:SHOWN])) + more
