"""How APT's learned prompts and its meta-prompt correct each other.

Part of the method in `__init__`. The gradient of the synthetic anomalies loses what opposes the
meta-prompt (form of ProGrad, Zhu et al., ICCV 2023, arXiv 2205.14865); after a round the meta-prompt follows the
learned prompts a little, if that keeps it general (a reconstruction: docs/methods/apt.md). Shapes: D joint width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 1e-12


def calibrate(synthetic: Tensor, meta: Tensor, weight: float) -> tuple[Tensor, bool]:
    """The gradient to follow, and whether the two conflicted.

    g_s if ⟨g_s, g_m⟩ ≥ 0 or there is no g_m, else g_s − λ⟨g_s, ĝ_m⟩ĝ_m.
    """
    norm = meta.norm()
    if norm < TINY or (synthetic * meta).sum() >= 0:
        return synthetic, False
    unit = meta / norm
    return synthetic - weight * (synthetic * unit).sum() * unit, True


def candidate(meta: Tensor, learned: Tensor, anchor: Tensor, step: float, least_cosine: float) -> Tensor:
    """The meta-prompt [2, D] moved by η towards the learned prompts, but no state further from the anchor than c_min.

    All unit vectors. η = 0 gives the meta-prompt itself, bit by bit.
    """
    if step == 0:
        return meta
    moved = F.normalize((1 - step) * meta + step * learned, dim=-1)
    return torch.stack([_kept_close(one, to, least_cosine) for one, to in zip(moved, anchor, strict=True)])


def _kept_close(vector: Tensor, anchor: Tensor, least_cosine: float) -> Tensor:
    """The vector, or the point with the least cosine on the great circle from it to the anchor; unit vectors [D]."""
    cosine = vector @ anchor
    if cosine >= least_cosine:
        return vector
    across = F.normalize(vector - cosine * anchor, dim=0)
    return F.normalize(least_cosine * anchor + (1 - least_cosine**2) ** 0.5 * across, dim=0)


def average_precision(scores: Tensor, positive: Tensor) -> float:
    """Area under precision over recall, over all distinct scores as thresholds; both flat, `positive` bool."""
    order = scores.argsort(descending=True)
    ranked, hits = scores[order], positive[order].double()
    last = torch.cat([ranked[1:] != ranked[:-1], ranked.new_ones(1, dtype=torch.bool)])  # of each tie
    true = hits.cumsum(0)[last]
    precision = true / (torch.arange(1, len(ranked) + 1, device=ranked.device)[last])
    return float((true.diff(prepend=true.new_zeros(1)) / true[-1]) @ precision)
