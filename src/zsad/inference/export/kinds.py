"""The forms that a model is exported in: what they are called, how their files end, what runs them."""

from dataclasses import dataclass
from pathlib import Path

from zsad.common.errors import UserError

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Kind:
    """name: as after `--to`; suffix: of its file; package: what runs it; precisions: in which it is written."""

    name: str
    suffix: str
    package: str
    precisions: tuple[str, ...]


KINDS = (
    Kind("onnx", ".onnx", "onnxruntime", PRECISIONS),
    Kind("openvino", ".xml", "openvino", ("fp32", "fp16")),
    Kind("torch", ".pt2", "torch", ("fp32",)),
)


def is_exported(name: str) -> bool:
    """Whether a path is that of an exported file."""
    return Path(name).suffix in [kind.suffix for kind in KINDS]


def kind_of(path: Path) -> Kind:
    """By how the file's name ends."""
    return next(kind for kind in KINDS if kind.suffix == path.suffix)


def choose(name: str, out: Path, precision: str) -> Kind:
    """The kind of that name; UserError where the file or the precision does not go with it."""
    kind = next(kind for kind in KINDS if kind.name == name)
    if out.suffix != kind.suffix:
        raise UserError(f"--out {out}: a file for {kind.name} ends with {kind.suffix}")
    if precision not in kind.precisions:
        able = ", ".join(other.name for other in KINDS if precision in other.precisions)
        raise UserError(f"--precision {precision}: not for {kind.name}; it is written for {able}")
    return kind
