"""PromptAD's losses on normal pictures. Image features v [..., D] and the vectors they meet have unit norm."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.learners.promptad.prompts import TextFeatures


def contrast(v: Tensor, normal_D: Tensor, abnormal_AD: Tensor, scale: float) -> Tensor:
    """Mean cross entropy of the normal vector among it and all abnormal ones: softmax of scale · cosine."""
    logits = scale * (v.flatten(0, -2) @ torch.cat([normal_D[None], abnormal_AD]).T)
    return (logits.logsumexp(-1) - logits[:, 0]).mean()


def triplet(v: Tensor, normal_D: Tensor, abnormal_D: Tensor) -> Tensor:
    """Mean of ReLU(‖v − n‖² − ‖v − a‖²) = ReLU(2 v·(a − n)): the explicit anomaly margin, at margin 0."""
    return (2 * v @ (abnormal_D - normal_D)).relu().mean()


def triplet_over_patches(v_kND: Tensor, normal_D: Tensor, abnormal_D: Tensor) -> Tensor:
    """The same with squares summed over patches in place of channels, as the official code has it: mean over [k, D]."""
    patches = v_kND.shape[1]
    margin = patches * (normal_D**2 - abnormal_D**2) - 2 * v_kND.sum(1) * (normal_D - abnormal_D)
    return margin.relu().mean()


def alignment(text: TextFeatures) -> Tensor:
    """‖mean manual − mean learned abnormal feature‖², of unit features."""
    manual, learned = (F.normalize(part, dim=-1).mean(0) for part in (text.manual, text.learned))
    return (manual - learned).square().sum()
