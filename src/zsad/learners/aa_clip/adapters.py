"""Residual adapters and projections of AA-CLIP. Part of the method in `__init__`.

Shapes: … any leading axes, C width of the tower, D joint width.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from zsad.clip.adaptation import Change


class Adapter(nn.Module):
    """Leaky ReLU of a linear map without bias, [..., C] → [..., D]."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(width, out, bias=False), nn.LeakyReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


class Projection(nn.Module):
    """A linear map without bias, [..., C] → [..., D]."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


def projection(width: int, out: int, relu: bool) -> nn.Module:
    """What the official code calls a projection: with `relu` it is an adapter."""
    return Adapter(width, out) if relu else Projection(width, out)


class ImageAdapter(nn.Module):
    """What is trained of the image tower: adapters of its first blocks, projections of layers and of the image."""

    def __init__(self, width: int, out: int, adapters: int, layers: int, relu: bool) -> None:
        super().__init__()
        self.layer_adapters = nn.ModuleList(Adapter(width, width) for _ in range(adapters))
        self.seg_proj = nn.ModuleList(projection(width, out, relu) for _ in range(layers))
        self.det_proj = projection(width, out, relu)


def residual(adapters: Sequence[nn.Module], share: float) -> Change:
    """On exit of each of the first blocks, mix in its adapter, stretched to the length of the token: eq. (2), (3)."""

    def mix(index: int, x: Tensor) -> Tensor:
        if index >= len(adapters):
            return x
        adapted = adapters[index](x)
        length = x.norm(dim=-1, keepdim=True) / adapted.norm(dim=-1, keepdim=True)
        return share * adapted * length + (1 - share) * x

    return mix
