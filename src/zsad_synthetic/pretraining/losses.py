"""The terms of the pretraining loss.

Shape suffixes: B pictures, P state pairs, F families and normal, S patch streams, N patches, C channels.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad_synthetic.pretraining.model import ImageFeatures

_FULL_SHARE = 0.25
"""A patch counts as wholly anomalous from this share of defective pixels on."""


class Terms(NamedTuple):
    """Scalar losses."""

    contrast: Tensor
    state: Tensor
    local: Tensor
    family: Tensor
    peak: Tensor
    teacher: Tensor


class Shown(NamedTuple):
    """What is known of the pictures of a batch."""

    positive: Tensor
    """[B, B] which caption (column) is true of which picture (row)."""
    anomalous: Tensor
    """[B]."""
    family: Tensor
    """[B] 0 for a normal picture, 1 + the index of its family of defects for another."""
    share: Tensor
    """[B, N] share of each patch that is defective."""


class Texts(NamedTuple):
    """Text features, not normalised."""

    captions: Tensor
    """[B, C]."""
    pairs: Tensor
    """[2P, C] P normal captions, then P anomalous ones."""
    families: Tensor
    """[F, C] a normal caption, then one for each family of defects."""


def terms(image: ImageFeatures, texts: Texts, shown: Shown, scale: Tensor, imitation: Tensor) -> Terms:
    """All terms of one batch."""
    captions_BC, families_FC = (F.normalize(t.float(), dim=-1) for t in (texts.captions, texts.families))
    axis_PC, prototype_C = state_axes(texts.pairs.float())
    cls_2BC = F.normalize(torch.stack([image.cls, image.raw_cls]).float(), dim=-1)
    patches_SBNC = F.normalize(image.patches.float(), dim=-1, eps=1e-6)
    axes = torch.cat([axis_PC, prototype_C[None]])
    patch_logits_SBNP = scale * patches_SBNC @ axes.T
    families = family(scale * cls_2BC @ families_FC.T, scale * patches_SBNC @ families_FC.T, shown)
    return Terms(
        contrastive(scale * cls_2BC @ captions_BC.T, shown.positive),
        state(scale * cls_2BC @ axes.T, shown.anomalous),
        local(patch_logits_SBNP, shown.share),
        families,
        state(peaks(patch_logits_SBNP, shown.share), shown.anomalous),
        imitation,
    )


def state_axes(pairs_TC: Tensor) -> tuple[Tensor, Tensor]:
    """Directions [P, C] from each normal to its anomalous caption, and [C] between the two ensembles' means.

    A cosine with such a difference is the logit of the two-way softmax that scores a picture by hand-written prompts.
    """
    normal_PC, anomalous_PC = pairs_TC.chunk(2)
    axis_PC = F.normalize(anomalous_PC, dim=-1) - F.normalize(normal_PC, dim=-1)
    return axis_PC, F.normalize(anomalous_PC.mean(0), dim=-1) - F.normalize(normal_PC.mean(0), dim=-1)


def positives(shown_BK: Tensor, told_BK: Tensor) -> Tensor:
    """[B, B] which caption (column) is true of which picture (row), by K claims each; -1 where a caption is open."""
    return ((told_BK[None] == shown_BK[:, None]) | (told_BK[None] < 0)).all(-1)


def contrastive(logits_2BB: Tensor, positive_BB: Tensor) -> Tensor:
    """CLIP's loss in both directions, the target spread evenly over all true captions."""
    rows = F.normalize(positive_BB.float(), p=1, dim=1)
    columns = F.normalize(positive_BB.float(), p=1, dim=0)
    by_row = -(rows * logits_2BB.log_softmax(-1)).sum(-1)
    by_column = -(columns * logits_2BB.log_softmax(-2)).sum(-2)
    return (by_row.mean() + by_column.mean()) / 2


def state(logits_SBP: Tensor, anomalous_B: Tensor) -> Tensor:
    """Normal or anomalous, of each picture under each pair of captions; S ways to read a picture."""
    target = anomalous_B.float()[None, :, None].expand_as(logits_SBP)
    return F.binary_cross_entropy_with_logits(logits_SBP, target)


def peaks(logits_SBNP: Tensor, share_BN: Tensor) -> Tensor:
    """[S, B, P] largest logit of all patches in a normal picture, of the most defective ones in an anomalous one.

    The largest patch scores a picture; one false alarm among many patches hardly shows in their mean loss.
    """
    eligible_BN = share_BN >= 0.5 * share_BN.amax(1, keepdim=True)
    return logits_SBNP.masked_fill(~eligible_BN[None, ..., None], -torch.inf).amax(2)


def local(logits_SBNP: Tensor, share_BN: Tensor) -> Tensor:
    """Normal or anomalous, of each patch under each pair of captions."""
    target_BN, weight_BN = _patch_targets(share_BN)
    target = target_BN[None, ..., None].expand_as(logits_SBNP)
    losses = F.binary_cross_entropy_with_logits(logits_SBNP, target, reduction="none").mean((0, 3))
    return (losses * weight_BN).sum() / weight_BN.sum()


def family(picture_2BF: Tensor, patches_SBNF: Tensor, shown: Shown) -> Tensor:
    """Which defect, if any: cross-entropy over a normal caption and one a family; mean of pictures and patches.

    The state terms ask features for one direction; this one keeps the kinds of defects apart.
    """
    target_BN, weight_BN = _patch_targets(shown.share)
    of_picture = F.cross_entropy(picture_2BF.flatten(0, 1), shown.family.repeat(len(picture_2BF)))
    log_SBNF = patches_SBNF.log_softmax(-1)
    own = shown.family[None, :, None, None].expand(*log_SBNF.shape[:3], 1)
    losses = -(log_SBNF[..., 0] * (1 - target_BN) + log_SBNF.gather(-1, own)[..., 0] * target_BN).mean(0)
    return (of_picture + (losses * weight_BN).sum() / weight_BN.sum()) / 2


def _patch_targets(share_BN: Tensor) -> tuple[Tensor, Tensor]:
    """How anomalous a patch counts, and its weight [B, N]: anomalous patches make a third of the sum."""
    target_BN = (share_BN / _FULL_SHARE).clamp(max=1)
    weight_BN = 1 + target_BN * (0.5 * (1 - target_BN).sum() / target_BN.sum().clamp(min=1) - 1).clamp(min=0)
    return target_BN, weight_BN
