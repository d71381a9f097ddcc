"""Losses that several prompt learners share. Probabilities, not logits, as in the official codes.

Shapes: B batch, H×W pixels; `p_BHW` is the probability of *anomalous*, `mask_BHW` is 1 where anomalous.
"""

from torch import Tensor


def focal_loss(p_BHW: Tensor, mask_BHW: Tensor, gamma: float = 2.0, smooth: float = 1e-5) -> Tensor:
    """Mean over pixels of −(1−p_t)^γ log p_t with a smoothed one-hot target (AnomalyCLIP, α = 1).

    The one-hot target is clamped to [ε, 1−ε] and p_t = Σ_c onehot_c·p_c + ε, over the two classes p and 1−p.
    """
    target = mask_BHW.clamp(smooth, 1 - smooth)
    p_t = target * p_BHW + (1 - target) * (1 - p_BHW) + smooth
    return -((1 - p_t) ** gamma * p_t.log()).mean()


def dice_loss(p_BHW: Tensor, mask_BHW: Tensor, smooth: float = 1.0) -> Tensor:
    """1 − mean over images of (2Σpm + s)/(Σp + Σm + s)."""
    p, m = p_BHW.flatten(1), mask_BHW.flatten(1)
    return 1 - ((2 * (p * m).sum(1) + smooth) / (p.sum(1) + m.sum(1) + smooth)).mean()


def segmentation_loss(p_BHW: Tensor, mask_BHW: Tensor) -> Tensor:
    """Focal + Dice of the anomalous map + Dice of the normal map (AnomalyCLIP eq. for L_local)."""
    return focal_loss(p_BHW, mask_BHW) + dice_loss(p_BHW, mask_BHW) + dice_loss(1 - p_BHW, 1 - mask_BHW)
