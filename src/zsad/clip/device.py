"""Where and how precisely the frozen image tower runs: device and autocast."""

from contextlib import nullcontext

import numpy as np
import torch

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.common.errors import UserError


def choose_device(device: str) -> torch.device:
    """auto takes a GPU when there is one; cuda without one is a UserError."""
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise UserError("device: cuda asked for, but torch sees no GPU; use auto or cpu (`device` of params.yaml)")
    return torch.device("cuda" if cuda and device != "cpu" else "cpu")


def encode_images(clip: Clip, images: np.ndarray, spec: FeatureSpec, precision: str) -> ImageFeatures:
    """One batch [b, 3, S, S] through the frozen image tower; `bf16` runs it under autocast, features stay float32."""
    context = torch.autocast(clip.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    with context:
        return clip.image.encode(torch.from_numpy(images).to(clip.device), spec)
