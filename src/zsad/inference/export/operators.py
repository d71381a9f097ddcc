"""Operators that runtimes lack, written with those that they have. Each computes the same, in float64 where it did.

ONNX Runtime has no convolution and no pooling in float64, and ONNX no stable sort. Maps and kernels are small here, so
both filters are sums of shifted maps; a stable descending sort is ONNX's TopK, which puts the lower index first.
Shapes: B images, H × W maps of one channel, h × w kernels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def convolve(
    maps_B1HW: Tensor,
    kernel_11hw: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """`conv2d` of single-channel float64 maps without padding; all others stay as they are."""
    if maps_B1HW.dtype != torch.float64:
        return NotImplemented
    assert bias is None
    assert kernel_11hw.shape[:2] == (1, 1)
    assert {*stride, *dilation, groups} == {1}
    assert not any(padding)
    return _sum_of_shifts(maps_B1HW, kernel_11hw.shape[2:], lambda i, j: kernel_11hw[0, 0, i, j])


def pool(
    maps_B1HW: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """`avg_pool2d` of float64 maps at stride 1 without padding; all others stay as they are."""
    if maps_B1HW.dtype != torch.float64:
        return NotImplemented
    assert set(stride) == {1}
    assert not any(padding)
    size = (kernel[0], kernel[-1])
    return _sum_of_shifts(maps_B1HW, size, lambda i, j: 1.0) / (divisor_override or size[0] * size[1])


def sort_stably(values: Tensor, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """`sort` in descending order. Ascending, ties would come in reverse."""
    if not descending:
        return NotImplemented
    return torch.topk(values, values.shape[dim], dim)


def _sum_of_shifts(maps: Tensor, size: Sequence[int], weight: Callable[[int, int], Tensor | float]) -> Tensor:
    H, W = maps.shape[2] - size[0] + 1, maps.shape[3] - size[1] + 1
    total = torch.zeros((), dtype=maps.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            total = total + maps[:, :, i : i + H, j : j + W] * weight(i, j)
    return total


REPLACED = {
    torch.ops.aten.conv2d.default: convolve,
    torch.ops.aten.avg_pool2d.default: pool,
    torch.ops.aten.sort.stable: sort_stably,
}
"""For `ExportedProgram.run_decompositions`."""
