"""Features against a pair of text prototypes: the two-way softmax that most methods score with."""

import torch
from torch import Tensor


def two_way_logit(features: Tensor, text_normal: Tensor, text_anomalous: Tensor, temperature: float) -> Tensor:
    """Log-odds of *anomalous* in a two-way softmax over cosine similarities.

    features [B, …, D] (any norm), text [B or 1, D] (unit norm) → [B, …]; sigmoid of it is the softmax's second entry.
    """
    direction = (text_anomalous - text_normal) / temperature  # [B or 1, D]
    direction = direction.reshape(direction.shape[0], *([1] * (features.dim() - 2)), -1)
    return (torch.nn.functional.normalize(features, dim=-1) * direction).sum(-1)
