"""What a learner computes without a picture: of one that is trained, the same for all of them, so once."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch

MOST_KNOWN = 1024  # results that a learner keeps: class names come from users of a server, too

L = TypeVar("L")
P = ParamSpec("P")
R = TypeVar("R")


def fixed(method: Callable[Concatenate[L, P], R]) -> Callable[Concatenate[L, P], R]:
    """For a method of a learner that reads no picture; its arguments can be hashed.

    A settled learner (`Learner.settle`) computes it once for each of them; an exported file holds what it gives.
    """

    @wraps(method)
    def remembering(self: Any, *arguments: Any) -> Any:
        if self.known is None:
            return method(self, *arguments)  # type: ignore[call-arg]
        found, key = self.known, (method.__name__, *arguments)
        if key not in found:
            if len(found) >= MOST_KNOWN:
                self.known = found = {}
            with torch.no_grad():
                found[key] = method(self, *arguments)  # type: ignore[call-arg]
        return found[key]

    return remembering  # type: ignore[return-value]
