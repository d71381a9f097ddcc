"""Random draws that come out alike on both sides: within a step, torch's come from one stream of that step's number.

Both sides draw the same values in the same order, however they cut them into tensors.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Draws:
    """Takes the place of torch.randn, torch.randn_like and torch.randint from the first `begin` on."""

    def __init__(self) -> None:
        self.stream = np.random.RandomState(0)

    def begin(self, step: int) -> None:
        """From here on draws are those of `step`."""
        self.stream = np.random.RandomState(step)
        drawing: Any = torch
        drawing.randn, drawing.randn_like, drawing.randint = self._randn, self._randn_like, self._randint

    def _normal(self, shape: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.asarray(self.stream.standard_normal(tuple(shape)), np.float32))

    def _randn(self, *size: Any, device: Any = None, **_: Any) -> Tensor:
        return self._normal(size[0] if isinstance(size[0], Sequence) else size).to(device or "cpu")

    def _randn_like(self, like: Tensor, **_: Any) -> Tensor:
        return self._normal(like.shape).to(like)

    def _randint(self, *arguments: Any, **_: Any) -> Tensor:
        *bounds, size = arguments
        low, high = bounds if len(bounds) > 1 else (0, *bounds)
        return torch.from_numpy(np.asarray(self.stream.randint(low, high, size=tuple(size))))
