"""An exported file, loaded by its runtime: pixels in, scores and map log-odds out. Only .pt2 loads torch.

A runtime computes with as many threads as OMP_NUM_THREADS says, as torch does, or else with as many as it likes.
"""

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zsad.common.errors import UserError
from zsad.inference.export.description import METADATA_KEY, Description, read_description
from zsad.inference.export.kinds import kind_of

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Session:
    """description: what the file says of itself; run: uint8 RGB [B, S, S, 3] → (score [B], map_logits [B, h, w])."""

    description: Description
    run: Run


def open_session(path: Path) -> Session:
    """UserError that names the file when it is none of ours, or when its runtime is not installed."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    kind = kind_of(path)
    openers = {"onnx": _open_onnx, "openvino": _open_openvino, "torch": _open_torch}
    try:
        text, run = openers[kind.name](path)
    except ModuleNotFoundError as error:
        if error.name != kind.package:
            raise
        raise UserError(f"{path}: needs {kind.package}, which is not installed: `pip install {kind.package}`") from None
    return Session(read_description(text, str(path)), run)


def _open_onnx(path: Path) -> tuple[str | None, Run]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _threads()
    try:
        loaded = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception type a cause, and no base of them
        raise _unreadable(path, "ONNX", error) from error

    def run(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score, map_logits = loaded.run(None, {"pixels": pixels})
        return score, map_logits

    return loaded.get_modelmeta().custom_metadata_map.get(METADATA_KEY), run


def _open_openvino(path: Path) -> tuple[str | None, Run]:
    import openvino

    if not (weights := path.with_suffix(".bin")).is_file():
        raise UserError(f"{weights}: no such file; {path.name} has its weights there, move both together")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": _threads()}
    try:
        model = openvino.Core().read_model(path, weights)
        loaded = openvino.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise _unreadable(path, "OpenVINO", error) from error
    text = model.get_rt_info(METADATA_KEY).astype(str) if model.has_rt_info(METADATA_KEY) else None

    def run(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = loaded(pixels)
        return outputs[0], outputs[1]

    return text, run


def _open_torch(path: Path) -> tuple[str | None, Run]:
    import torch

    _refuse_pickles(path)
    held = {METADATA_KEY: ""}
    try:
        module = torch.export.load(path, extra_files=held).module()
    except (RuntimeError, ValueError, KeyError) as error:
        raise _unreadable(path, "torch", error) from error

    def run(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            score, map_logits = module(torch.from_numpy(pixels))
        return score.numpy(), map_logits.numpy()

    return held[METADATA_KEY], run


def _refuse_pickles(path: Path) -> None:
    """torch.export.load unpickles some members of an archive; ours have none but plain tensors."""
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith("_config.json"):
                    held: dict[str, Any] = json.loads(archive.read(member))["config"]
                    if any(one["use_pickle"] or not one["path_name"].startswith(PLAIN) for one in held.values()):
                        raise ValueError("it holds pickled objects")
                elif member.endswith(".pt"):
                    with archive.open(member) as file:
                        torch.load(file, weights_only=True)
    except Exception as error:  # whatever is wrong with it, it is not loaded
        raise _unreadable(path, "torch", error) from error


PLAIN = ("weight_", "tensor_")  # how torch names members that are bytes of tensors


def _unreadable(path: Path, kind: str, error: Exception) -> UserError:
    first = str(error).strip().partition("\n")[0]
    return UserError(f"{path}: not a readable {kind} file ({first}); export the model again")


def _threads() -> int:
    """0 = the runtime's own choice."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() else 0
