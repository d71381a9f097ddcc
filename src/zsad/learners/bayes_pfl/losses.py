"""Loss terms of Bayes-PFL that no other method has. Part of the method in `__init__`.

Shapes: N images, H × W pixels, B prompts of a bank, D width; masks are 1 where anomalous.
"""

import torch
from torch import Tensor


def balanced_focal(logits_NHW: Tensor, mask_NHW: Tensor) -> Tensor:
    """Focal loss (γ = 2) as the mean over all anomalous pixels of the batch plus the mean over all normal ones."""
    p_t = torch.where(mask_NHW > 0, logits_NHW, -logits_NHW).sigmoid()
    focal = -((1 - p_t) ** 2) * torch.log(p_t + 1e-8)
    anomalous, normal = ((focal * part).sum() / (part.sum() + 1e-8) for part in (mask_NHW, 1 - mask_NHW))
    return anomalous + normal


def global_dice(p_NHW: Tensor, mask_NHW: Tensor) -> Tensor:
    """1 − (2Σpm + ε)/(Σp + Σm + ε), one ratio for the whole batch."""
    return 1 - (2 * (p_NHW * mask_NHW).sum() + 1e-5) / (p_NHW.sum() + mask_NHW.sum() + 1e-5)


def orthogonality(text_NBD: Tensor) -> Tensor:
    """Mean of squared cosines between the prompts of a bank, the diagonal counted as 0."""
    cosine = text_NBD @ text_NBD.transpose(1, 2)
    apart = 1 - torch.eye(cosine.shape[1], device=cosine.device)
    return (cosine**2 * apart).mean()
