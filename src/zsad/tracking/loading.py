"""From what people call a model to one that scores pictures."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsad.common.errors import UserError
from zsad.inference.export.kinds import is_exported

if TYPE_CHECKING:
    from zsad.inference.model import Predictor

SUFFIX = ".safetensors"


def load(
    model: str | PathLike[str],
    device: str = "auto",
    *,
    states: str | PathLike[str] | Mapping[str, Any] | None = None,
    calibration: str | None = None,
    precision: str = "fp32",
) -> "Predictor":
    """The model ready to score: `models:/KEY@ALIAS` or `models:/KEY/VERSION` of the registry, `runs:/RUN`, or a file.

    device: auto (a GPU when there is one), cpu, cuda. UserError when there is no such model.
    states: own words for hand-written prompts, as a mapping (normal, anomalous, templates) or the YAML file of one.
    calibration: name of a calibration of this model, which gives it a threshold; not with other words than its own.
    precision: fp32, bf16, or on a GPU fp16; calibrations and exported files have their own.
    An exported file (.onnx, .xml, .pt2) is a model as well, without torch; its words and calibrations are inside.
    """
    if states is not None and calibration is not None:
        raise UserError(f"states: calibration {calibration} was made with the model's own words; leave one of them out")
    if is_exported(str(model)):
        if precision != "fp32":
            raise UserError(f"precision {precision}: {model} has its own; export again with --precision")
        if states is not None:
            raise UserError(f"states: {model} holds its prompts as numbers; export again with --states")
        from zsad.inference.export.runtime import load_exported

        return load_exported(Path(model), device, calibration)
    from zsad.learners.shared.states import read_states

    own = None if states is None else read_states(states)  # a slip in it shows before the model is loaded
    checkpoint = find_checkpoint(str(model))
    from zsad.inference.model import load_checkpoint

    predictor = load_checkpoint(checkpoint, device, own, precision)
    if calibration is None:
        return predictor
    from zsad.tracking.calibrations import find

    return predictor.calibrated(find(str(model), checkpoint, calibration))


def is_model(name: str) -> bool:
    """Whether a name means a model, not a key of params.yaml."""
    return name.startswith(("models:/", "runs:/")) or name.endswith(SUFFIX) or is_exported(name)


def find_checkpoint(model: str) -> Path:
    """The checkpoint file of a model; MLflow is loaded only for a URI."""
    if not is_model(model):
        known = f"models:/KEY@champion, runs:/RUN or the path of a {SUFFIX} or exported file"
        raise UserError(f"{model}: no model; write {known}")
    if model.startswith("models:/"):
        from zsad.tracking.addresses import resolve

        return resolve(model)
    if model.startswith("runs:/"):
        from zsad.tracking.addresses import resolve_run

        return resolve_run(model)
    if is_exported(model):
        raise UserError(f"{model}: is exported; this wants the checkpoint it was made of")
    return Path(model)
