"""Features against a pair of text prototypes: the two-way softmax that most methods score with, and means of it."""

import torch
import torch.nn.functional as F
from torch import Tensor


def two_way_logit(features: Tensor, text_normal: Tensor, text_anomalous: Tensor, temperature: float) -> Tensor:
    """Log-odds of *anomalous* in a two-way softmax over cosine similarities.

    features [B, …, D] (any norm), text [B or 1, D] (unit norm) → [B, …]; sigmoid of it is the softmax's second entry.
    """
    direction = (text_anomalous - text_normal) / temperature  # [B or 1, D]
    direction = direction.reshape(direction.shape[0], *([1] * (features.dim() - 2)), -1)
    return (torch.nn.functional.normalize(features, dim=-1) * direction).sum(-1)


def mean_log_odds(logits: Tensor) -> Tensor:
    """Log-odds of the mean over the first axis of probabilities that are given as log-odds.

    Both classes are added up as logarithms, so that pixels keep their order where a float32 probability would be 1.
    """
    return torch.logsumexp(-F.softplus(-logits), dim=0) - torch.logsumexp(-F.softplus(logits), dim=0)
