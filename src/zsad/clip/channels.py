"""Normalised pictures as a network sees them that is fed blue where it expects red."""

import torch
from torch import Tensor

from zsad.clip.inputs import MEAN, STD


def swap_red_and_blue(images_B3SS: Tensor) -> Tensor:
    """RGB normalised by CLIP's mean and std → BGR normalised by the same numbers in the same order.

    What a code gets that reads pictures with OpenCV, does not convert them, and normalises as if it had.
    """
    mean, std = (torch.tensor(values).to(images_B3SS)[:, None, None] for values in (MEAN, STD))
    return ((images_B3SS * std + mean).flip(1) - mean) / std
