"""What a training must not do: leave numbers behind that are none, or change the frozen CLIP."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zsad.clip.backbone import Clip
from zsad.common.errors import UserError
from zsad.learners.base import Learner


def check_finite(learner: Learner, losses: Mapping[str, float], label: str, where: str) -> None:
    """UserError when a loss or a tensor of the learner is NaN or infinite; names the learning rates below `where`."""
    finite = all(math.isfinite(value) for value in losses.values())
    if not finite or not all(tensor.isfinite().all() for tensor in learner.state_dict().values()):
        rates = ", ".join(f"{where}.{name}" for name in vars(learner.config) if name.startswith("lr"))
        raise UserError(f"{label}: loss or parameters not finite ({dict(losses)}); lower {rates}")


def clip_sums(clip: Clip) -> dict[str, int]:
    """Sum over the bits of every tensor of the frozen towers, by name: differs when any value does."""
    return {name: int(tensor.contiguous().view(torch.int32).sum()) for name, tensor in _tensors(clip, "clip")}


def check_clip_unchanged(clip: Clip, before: dict[str, int]) -> None:
    """RuntimeError naming a CLIP tensor that gradients reached, or that is no longer what `clip_sums` saw."""
    for name, tensor in _tensors(clip, "clip"):
        if tensor.requires_grad or tensor.grad is not None:
            raise RuntimeError(f"{name} is frozen, but takes gradients")
    after = clip_sums(clip)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise RuntimeError(f"training changed the frozen CLIP: {', '.join(changed)}")


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor inside a tower, by its path."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, nn.Module):
        yield from ((f"{name}.{key}", parameter) for key, parameter in value.named_parameters())
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _tensors(item, f"{name}.{i}")
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name), f"{name}.{field.name}")
