"""Where the frozen towers run."""

import torch

from zsad.common.errors import UserError


def choose_device(device: str) -> torch.device:
    """auto takes a GPU when there is one; cuda without one is a UserError."""
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise UserError("device: cuda asked for, but torch sees no GPU; use auto or cpu (`device` of params.yaml)")
    return torch.device("cuda" if cuda and device != "cpu" else "cpu")
