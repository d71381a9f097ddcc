"""Work counted without being done: tensors on PyTorch's device `meta` have shapes and no values.

So ViT-L at 518 px is counted in a second, without its weights. What a method decides by values is decided for it: a
number is 0.5, a mask chooses all, one value in five is new (clusters of AdaCLIP), and what comes to the CPU is random.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zsad.common.timing import Work
from zsad.pipeline.bench.counting import operations

META = torch.device("meta")


@dataclass(frozen=True)
class Traced:
    """flop: as `operations`; calls: how many operations PyTorch runs, views left out; moved: bytes that they read and
    write, one by one; peak: bytes held at once beside what was there before.
    """

    flop: int
    calls: int
    moved: int
    peak: int


def traced(work: Work) -> Traced:
    """Count `work`, which computes on `META`."""
    memory = _Memory()

    def watched() -> None:
        with memory, Unknown():
            work()

    return Traced(operations(watched), memory.calls, memory.moved, memory.peak)


class Unknown(TorchFunctionMode):
    """Answers for what is asked of values that are not there."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not any(isinstance(one, Tensor) and one.is_meta for one in args):
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention and len(args) == 3 and kwargs.get("attn_mask") is None:
            return _fused(args[0], args[1], args[2], kwargs.get("is_causal", False))
        if func is Tensor.__getitem__:
            return func(args[0], _all_chosen(args[1]))
        answer = _ANSWERS.get(func)
        return func(*args, **kwargs) if answer is None else answer(args[0])


def _fused(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """Attention that writes no matrix of weights, as every device has it but this one."""
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, is_causal=causal)[0]


def _all_chosen(index: Any) -> Any:
    parts = index if isinstance(index, tuple) else (index,)
    whole = tuple(
        torch.arange(len(one), device=META) if isinstance(one, Tensor) and one.dtype == torch.bool else one
        for one in parts
    )
    return whole if isinstance(index, tuple) else whole[0]


def _drawn(tensor: Tensor) -> Tensor:
    return torch.rand(tensor.shape).to(tensor.dtype)


_ANSWERS: dict[Any, Callable[[Tensor], Any]] = {
    Tensor.cpu: _drawn,
    Tensor.numpy: lambda tensor: _drawn(tensor).numpy(),
    Tensor.tolist: lambda tensor: _drawn(tensor).tolist(),
    Tensor.item: lambda tensor: 0.5 if tensor.is_floating_point() else 0,
    Tensor.__float__: lambda _: 0.5,
    Tensor.__int__: lambda _: 0,
    Tensor.__index__: lambda _: 0,
    Tensor.__bool__: lambda _: True,
    Tensor.unique: lambda tensor: tensor.flatten()[: -(-tensor.numel() // 5)],
}


class _Memory(TorchDispatchMode):
    """Bytes moved by operations, and bytes alive."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.moved = self.alive = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        written = [one for one in tree_leaves(result) if isinstance(one, Tensor) and one.is_meta]
        before = {one.untyped_storage()._cdata for one in read}
        if func._schema.is_mutable or any(one.untyped_storage()._cdata not in before for one in written):
            self.calls += 1
            self.moved += sum(map(_bytes, read)) + sum(map(_bytes, written))
        for one in written:
            if one.untyped_storage()._cdata not in before:
                self._hold(one.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._release, storage._cdata, storage.nbytes())

    def _release(self, which: int, size: int) -> None:
        self._known.discard(which)
        self.alive -= size


def _bytes(tensor: Tensor) -> int:
    """Of its elements; those that were expanded lie there once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
