"""What is computed picture by picture, because a whole batch of it would not fit into memory."""

from collections.abc import Callable

import torch
from torch import Tensor


def of_each(of: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """`of` each picture of a batch [B, …], stacked; `of` must work on any leading axes.

    A graph that is being exported has a batch of no fixed size, over which it cannot loop: there `of` gets all of it.
    """
    if torch.compiler.is_exporting():
        return of(batch)
    return torch.stack([of(one) for one in batch])
