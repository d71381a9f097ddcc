"""A graph as a file of each kind, with what the file says of itself inside. Files appear whole or not at all."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.export import ExportedProgram

from zsad.common.errors import UserError
from zsad.inference.export.description import METADATA_KEY, Description
from zsad.inference.export.kinds import Kind
from zsad.inference.export.operators import REPLACED
from zsad.inference.export.precision import halve_weights, quantise, share_equal_tensors

OUTPUTS = ["score", "map_logits"]
OPSET = 18
LARGEST_ONNX = 2**31 - 2**24  # bytes: protobuf's limit, less room for the graph itself


class Files:
    """The files of one graph; for ONNX and OpenVINO it is converted once."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program

    @cached_property
    def onnx(self) -> bytes:
        """The graph in ONNX, a batch of any size."""
        return _onnx_model(self.program).SerializeToString()

    def write(self, description: Description, kind: Kind, path: Path) -> list[Path]:
        """Write `path` and, of OpenVINO, its weights beside it; returns all files."""
        if kind.name == "torch":
            return _write_torch(self.program, description, path)
        return (_write_onnx if kind.name == "onnx" else _write_openvino)(self.onnx, description, path)


def _write_onnx(graph: bytes, description: Description, path: Path) -> list[Path]:
    import onnx

    model = onnx.load_from_string(graph)
    if description.precision == "fp16":
        halve_weights(model)
    if description.precision == "int8":
        with TemporaryDirectory(dir=path.parent) as folder, _quietly():
            model = quantise(model, Path(folder))
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=description.as_text())
    onnx.save(model, path)
    return [path]


def _write_openvino(graph: bytes, description: Description, path: Path) -> list[Path]:
    import openvino

    with TemporaryDirectory(dir=path.parent) as folder:
        between = Path(folder) / "graph.onnx"
        between.write_bytes(graph)
        model = openvino.convert_model(between)
        model.set_rt_info(description.as_text(), [METADATA_KEY])
        openvino.save_model(model, path, compress_to_fp16=description.precision == "fp16")
    return [path, path.with_suffix(".bin")]


def _write_torch(program: ExportedProgram, description: Description, path: Path) -> list[Path]:
    with _quietly():
        torch.export.save(program, path, extra_files={METADATA_KEY: description.as_text()})
    return [path]


def _onnx_model(program: ExportedProgram) -> Any:
    held = {tensor.data_ptr(): tensor.nbytes for tensor in _tensors(program)}
    if sum(held.values()) > LARGEST_ONNX:
        raise UserError("--to onnx: the model has more than 2 GB, the most that one ONNX file holds; use --to torch")
    with _quietly():
        small = program.run_decompositions(REPLACED)
        try:
            found = torch.onnx.export(
                small, dynamo=True, input_names=["pixels"], output_names=OUTPUTS, opset_version=OPSET, optimize=True
            )
        except torch.onnx.OnnxExporterError as error:
            raise UserError(f"--to onnx: ONNX lacks an operator of this method ({error}); use --to torch") from error
    assert found is not None
    model = found.model_proto
    share_equal_tensors(model)
    return model


def _tensors(program: ExportedProgram) -> Iterator[torch.Tensor]:
    yield from program.state_dict.values()
    yield from (value for value in program.constants.values() if isinstance(value, torch.Tensor))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Exporters print their progress, and warn of what is meant here."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
