"""FAPrompt: fine-grained abnormality prompts (Zhu et al., ICCV 2025, arXiv 2410.10289).

AnomalyCLIP's one anomalous prompt becomes K compound ones, `[normal][abnormal_j] damaged object.`, kept apart by an
orthogonality loss; their mean is the anomalous prototype (CAP). A second pass adapts them to each image: a network
turns a few of its patches into a vector added to every abnormal token, which normal images push to zero (DAP). Maps
and scores join both passes. Official code: mala-lab/FAPrompt (7e9d9d2), on top of AnomalyCLIP; parameter names are its
state dict's, less the projections it never uses and the frozen embeddings. Equations follow that code.

Its selection of the most abnormal patches gathers by the loop counter instead of the index found, so it reads the first
patches of the top row. `dap_selection` unset: `topk` in strict, the method as described; `first` in paper, the official
inference, which released weights need. The protocols differ in nothing else but preprocessing.

Shapes: B images, N patches, K abnormal prompts with E own tokens each, k patches read by DAP, C text, D joint width.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.clip.text import DeepTokens, Prefix
from zsad.common.errors import UserError
from zsad.config.schema import Protocol
from zsad.learners.base import Batch, Learner, LearnerConfig, Scored
from zsad.learners.shared.fixed import fixed
from zsad.learners.shared.losses import segmentation_loss
from zsad.learners.shared.similarity import two_way_logit

SQUEEZE = 16  # hidden width of the DAP network: its input's divided by this


class Config(LearnerConfig):
    """Settings of the official code. None = derived: depths from the backbone, `dap_selection` from the protocol."""

    prompts: int = Field(default=10, ge=1)
    """K, abnormal prompts that are learned; their mean is the anomalous prototype."""
    normal_tokens: int = Field(default=5, ge=4, le=40)
    """Learned tokens with which every prompt begins, the normal one too."""
    abnormal_tokens: int = Field(default=2, ge=1, le=30)
    """Learned tokens that each abnormal prompt has of its own."""
    dap_patches: int = Field(default=10, ge=1)
    """Patches of a picture that DAP reads; a count that does not scale with the grid."""
    dap_selection: Literal["topk", "first"] | None = None
    """Which patches DAP reads: the most abnormal or the first. null = `topk` in strict, `first` in paper."""
    deep_length: int = Field(default=4, ge=1, le=4)
    """Learned tokens in a set of deep tokens; they overwrite text positions 1 to this."""
    deep_sets: int | None = Field(default=None, ge=0)
    """Sets of deep tokens, one a text block from the second on. null = 8 for 12 blocks, scaled."""
    deep_fp16: bool = True
    """Round deep tokens through half precision on insertion, as the official code does."""
    vv_start: int | None = Field(default=None, ge=0)
    """First image block (from 0) whose V-V attention enters the patch stream. null = 5 of 24, scaled."""
    temperature: float = Field(default=0.07, gt=0)
    """Temperature of the softmax over the two prompts, for picture and patches."""
    adapted_weight: float = Field(default=0.5, ge=0)
    """Weight of the segmentation loss of pass 2 beside that of pass 1."""
    orthogonal_weight: float = Field(default=0.1, ge=0)
    """Weight of the loss that keeps the abnormal prompts different."""
    prior_weight: float = Field(default=1.0, ge=0)
    """Weight of the loss that pushes DAP's bias to zero on normal pictures."""
    image_focal: Literal["logits", "prob"] = "logits"
    """What the image focal loss takes the score for: a logit (official code) or the probability it is."""
    sigma: float = Field(default=10.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""


@dataclass(frozen=True)
class Passes:
    """What both passes say of a batch, as log-odds of *anomalous*, and what the losses read besides.

    static [B, N]: patches against the prompts as learned; adapted [B, N], image [B]: patches and image against those
    adapted to the image; abnormal [K, D]: raw features of the learned abnormal prompts; bias [B, C]: what DAP added.
    """

    static: Tensor
    adapted: Tensor
    image: Tensor
    abnormal: Tensor
    bias: Tensor


class FaPrompt(Learner):
    """Trained: ctx_pos [1, 1, 5, C], ctx_neg [1, K, E, C], the DAP network, deep tokens: 4,100,064 at ViT-L."""

    Config = Config

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        if config.dap_patches > clip.grid**2:
            raise UserError(f"dap_patches {config.dap_patches}: an image has {clip.grid**2} patches")
        self.vv_start, sets = self.depths(config.vv_start, config.deep_sets)
        self.selection = config.dap_selection or ("first" if protocol == "paper" else "topk")
        width, read = clip.text.width, config.dap_patches * clip.joint_width
        self.ctx_pos = nn.Parameter(0.02 * torch.randn(1, 1, config.normal_tokens, width))
        self.ctx_neg = nn.Parameter(0.02 * torch.randn(1, config.prompts, config.abnormal_tokens, width))
        layers = (nn.Linear(read, read // SQUEEZE), nn.ReLU(), nn.Linear(read // SQUEEZE, width))
        self.patch_meta_net = nn.Sequential(OrderedDict(zip(("linear1", "relu", "linear2"), layers, strict=True)))
        self.compound_prompts_text = nn.ParameterList(
            0.02 * torch.randn(config.deep_length, width) for _ in range(sets)
        )
        self._sot_1C, self._normal_words = clip.text.embed(clip.text.ids("object.")).tensor_split([1])
        self._abnormal_words = clip.text.embed(clip.text.ids("damaged object."))[1:]

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls=True, vv_start=self.vv_start)

    # --- prompts -----------------------------------------------------------------------------------------------------

    def prefix(self) -> Prefix:
        """SOT and the normal tokens, with which every prompt begins; deep tokens lie inside."""
        deep = DeepTokens(list(self.compound_prompts_text), self.config.deep_fp16)
        return self.clip.text.prefix(torch.cat([self._sot_1C, self.ctx_pos[0, 0]])[None], deep=deep)

    def normal_feature(self, prefix: Prefix) -> Tensor:
        """Text feature [1, D] of `[normal] object.`, not normalised; the same in both passes."""
        return self._encode(prefix, self._normal_words[None])

    def abnormal_features(self, prefix: Prefix, bias_BC: Tensor) -> Tensor:
        """Text features [B, K, D] of the abnormal prompts with a bias on all their own tokens, not normalised."""
        tokens_BKEC = self.ctx_neg[0] + bias_BC[:, None, None]
        counts = tokens_BKEC.shape[:2]
        prompts = torch.cat([tokens_BKEC, self._abnormal_words.expand(*counts, -1, -1)], dim=2)
        return self._encode(prefix, prompts.flatten(0, 1)).unflatten(0, counts)

    @fixed
    def learned(self) -> tuple[Prefix, Tensor, Tensor]:
        """The prompts as learned: their prefix, the unit normal feature [1, D], raw abnormal features [1, K, D]."""
        prefix = self.prefix()
        normal_1D = F.normalize(self.normal_feature(prefix), dim=-1)
        abnormal_1KD = self.abnormal_features(prefix, self.ctx_neg.new_zeros(1, self.ctx_neg.shape[-1]))
        return prefix, normal_1D, abnormal_1KD

    def _encode(self, prefix: Prefix, rest_STC: Tensor) -> Tensor:
        return self.clip.text.encode(rest_STC, past=prefix.repeat(rest_STC.shape[0]))

    # --- the two passes ----------------------------------------------------------------------------------------------

    def selected(self, patches_BND: Tensor, static_BN: Tensor) -> Tensor:
        """Unit features [B, k, D] of the patches that DAP reads: most abnormal first, or the first in raster order.

        Ranked by log-odds, which do not saturate as probabilities do; equal ones keep their raster order.
        """
        count = self.config.dap_patches
        if self.selection == "first":
            return F.normalize(patches_BND[:, :count], dim=-1)
        order = static_BN.detach().sort(dim=1, descending=True, stable=True).indices[:, :count]
        return F.normalize(patches_BND.gather(1, order[..., None].expand(-1, -1, patches_BND.shape[-1])), dim=-1)

    def passes(self, features: ImageFeatures) -> Passes:
        """Pass 1 with the prompts as learned, pass 2 with those adapted to each image."""
        temperature, (prefix, normal_1D, abnormal_1KD) = self.config.temperature, self.learned()
        static_BN = two_way_logit(features.patches, normal_1D, prototype(abnormal_1KD), temperature)
        bias_BC = self.patch_meta_net(self.selected(features.patches, static_BN).flatten(1))
        adapted_BD = prototype(self.abnormal_features(prefix, bias_BC))
        return Passes(
            static=static_BN,
            adapted=two_way_logit(features.patches, normal_1D, adapted_BD, temperature),
            image=two_way_logit(features.cls, normal_1D, adapted_BD, temperature),
            abnormal=abnormal_1KD[0],
            bias=bias_BC,
        )

    # --- training and inference --------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Seg(pass 1) + 0.5·Seg(pass 2) + CE + focal of the image score + 0.1·orthogonality + prior."""
        passes, labels_B, config = self.passes(batch.features), batch.labels.float(), self.config
        score_B = image_score(passes.image, passes.static, passes.adapted)
        return {
            "static": self._segmentation(passes.static, batch.masks),
            "adapted": config.adapted_weight * self._segmentation(passes.adapted, batch.masks),
            "ce": F.binary_cross_entropy_with_logits(passes.image, labels_B),
            "image": image_focal_loss(score_B, labels_B, config.image_focal),
            "orthogonal": config.orthogonal_weight * orthogonality_loss(passes.abnormal),
            "prior": config.prior_weight * prior_loss(passes.bias, labels_B),
        }

    def _segmentation(self, logits_BN: Tensor, masks_BSS: Tensor) -> Tensor:
        maps = F.interpolate(self.as_map(logits_BN.sigmoid())[:, None], size=masks_BSS.shape[-2:], mode="bilinear")
        return segmentation_loss(maps[:, 0], masks_BSS)

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        passes = self.passes(features)
        image_B, static_BN, adapted_BN = (x.double() for x in (passes.image, passes.static, passes.adapted))
        mean_BN = mean_of_probabilities(static_BN, adapted_BN)
        return Scored(image_score(image_B, static_BN, adapted_BN), self.as_map(mean_BN))


def prototype(abnormal_BKD: Tensor) -> Tensor:
    """Unit mean [B, D] of raw text features: their norms are weights, as in the official code."""
    return F.normalize(abnormal_BKD.mean(1), dim=-1)


def image_score(image_B: Tensor, static_BN: Tensor, adapted_BN: Tensor) -> Tensor:
    """½ (r + (2·m1 + m2)/3), from log-odds: r of the image, m1 and m2 of the most abnormal patch of each pass."""
    m1, m2 = static_BN.amax(1).sigmoid(), adapted_BN.amax(1).sigmoid()
    return (image_B.sigmoid() + (2 * m1 + m2) / 3) / 2


def mean_of_probabilities(a: Tensor, b: Tensor) -> Tensor:
    """Log-odds of ½ (σ(a) + σ(b)), exact where both saturate."""
    return torch.logaddexp(F.logsigmoid(a), F.logsigmoid(b)) - torch.logaddexp(F.logsigmoid(-a), F.logsigmoid(-b))


def image_focal_loss(score_B: Tensor, labels_B: Tensor, form: Literal["logits", "prob"], gamma: float = 2.0) -> Tensor:
    """Mean of (1 − e^−ℓ)^γ·ℓ over images. `logits` (official code) takes the score in [0, 1] for a logit in ℓ."""
    bce = F.binary_cross_entropy_with_logits if form == "logits" else F.binary_cross_entropy
    entropy_B = bce(score_B, labels_B, reduction="none")
    return ((1 - (-entropy_B).exp()) ** gamma * entropy_B).mean()


def orthogonality_loss(abnormal_KD: Tensor) -> Tensor:
    """Σ |cos| over the pairs of abnormal prompts."""
    unit = F.normalize(abnormal_KD, dim=-1)
    return (unit @ unit.T).triu(1).abs().sum()


def prior_loss(bias_BC: Tensor, labels_B: Tensor) -> Tensor:
    """Σ over normal images of the mean square of their bias; 0 without a normal image."""
    return ((1 - labels_B) * bias_BC.square().mean(1)).sum()
