"""Work counted, not timed: floating-point operations, a multiplication and an addition being two."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from zsad.common.timing import Work


def operations(work: Work) -> int:
    """Of matrix products, convolutions and attention in `work`; what is done element by element is not counted."""
    with counted() as found:
        work()
    return found()


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """The same of whatever runs inside; gives what tells it."""
    counter: Any = FlopCounterMode(display=False, custom_mapping=_ON_THE_CPU)
    counter.mod_tracker = _Nowhere()  # torch's own stumbles over modules that are given part of a graph under no_grad
    with counter:
        yield lambda: int(counter.get_total_flops())


class _Nowhere:
    """In place of what asks in which module an operation is: nobody wants to know."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(
    gradient: Any, query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any
) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


_ON_THE_CPU = {  # torch counts those of GPUs alone
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
