"""Smaller ONNX files: equal weights once; weights in half precision, or matrix products in 8 bits."""

from pathlib import Path
from typing import Any

SMALL = 1024  # numbers: tensors below are left as they are
LARGEST_HALF = 65504.0


def share_equal_tensors(model: Any) -> None:
    """Keep one of tensors that are equal: a block that runs in two places comes with its weights twice."""
    kept: dict[tuple[object, ...], Any] = {}
    instead: dict[str, str] = {}
    for tensor in model.graph.initializer:
        same = (tensor.data_type, tuple(tensor.dims), tensor.raw_data or tensor.SerializeToString())
        instead[tensor.name] = kept.setdefault(same, tensor).name
    for node in model.graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept.values())


def halve_weights(model: Any) -> None:
    """Store the large float32 tensors of an ONNX model as float16; it computes in float32 as before."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor) if tensor.data_type == TensorProto.FLOAT else None
        if values is None or values.size < SMALL or np.abs(values).max() > LARGEST_HALF:
            kept.append(tensor)
            continue
        kept.append(numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half"))
        casts.append(helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def quantise(model: Any, folder: Path) -> Any:
    """The ONNX model with matrix products by fixed matrices in int8, their inputs scaled as they come (dynamic)."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain, small = folder / "fp32.onnx", folder / "int8.onnx"
    onnx.save(model, plain)
    others = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) != 2}  # not one scale a channel
    quantize_dynamic(
        plain,
        small,
        op_types_to_quantize=["MatMul", "Gemm"],
        weight_type=QuantType.QInt8,
        per_channel=True,
        nodes_to_exclude=[node.name for node in model.graph.node if others & set(node.input[:2])],
    )
    return onnx.load(small)
