"""CoPS: conditional prompt synthesis (arXiv 2508.03447, CVPR 2026 Findings).

Per image, an extractor turns patch features into normal and anomalous prototypes that are added to learnable *state*
tokens, and a VAE on the image feature supplies vectors added to the *class* tokens; at test several decoded prior
samples are averaged. The map is re-weighted by the distances of patches to the prototypes. Official code:
cqylunlun/CoPS (a3a41fc); parameter names are its state dict's, less the modules it never uses.

strict: K, α, β follow the *source* (`per_source` in params.yaml; defaults are the VisA values); the prior samples z
are drawn once from the seed and stored with the checkpoint. paper: α, β and K are keyed on the *target's* name and z is
drawn anew for every image, as the official test script does.

Shapes: B images, N patches, M prototypes per polarity, R samples, C = D text and joint width.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.clip.text import DeepTokens, Prefix
from zsad.common.errors import UserError
from zsad.config.schema import Protocol
from zsad.learners.base import Batch, Learner, LearnerConfig, Scored, Upsample
from zsad.learners.shared.fixed import fixed
from zsad.learners.shared.losses import dice_loss, segmentation_loss
from zsad.learners.shared.similarity import two_way_logit

CONTEXT, STATE, CLASS = 6, 6, 2  # learnable tokens of a prompt: positions 1-6, 7-12, 13-14; M = STATE


class Config(LearnerConfig):
    """Settings of the official code for VisA as source."""

    epochs: int = Field(default=10, ge=0)
    """Passes over the auxiliary source; the last one counts. 5 after MVTec."""
    samples: int = Field(default=10, ge=1)
    """R, prior samples whose decoded text features are averaged at test."""
    pool: Literal[1, 3, 5, 7, 9] = 5
    """K, side of the neighbourhood over which patches are averaged, in patches. 3 after MVTec."""
    alpha: float = Field(default=0.26, ge=0, le=1)
    """α, share of the distance to the normal prototypes in the map's weight. 0.35 after MVTec."""
    beta: float = Field(default=0.9, ge=0, le=1)
    """β, share of the picture's own probability in its score; the rest is the best patch. 1 after MVTec."""
    temperature: float = Field(default=0.07, gt=0)
    """Temperature of the softmax over the two prompts, for picture and patches."""
    deep_length: int = Field(default=4, ge=1, le=CONTEXT)
    """Learned tokens in a set of deep tokens; they overwrite text positions 1 to this."""
    deep_sets: int | None = Field(default=None, ge=0)
    """Sets of deep tokens, one a text block from the second on. null = 8 for 12 blocks, scaled."""
    deep_fp16: bool = True
    """Round deep tokens through half precision on insertion, as the official code does."""
    vv_start: int = Field(default=0, ge=0)
    """First image block (from 0) whose V-V attention enters the patch stream."""
    local_weight: float = Field(default=4.0, ge=0)
    """Weight of the segmentation loss among the terms of the loss."""
    upsample: Literal["nearest", "bilinear"] = "nearest"
    """How the patch map becomes a full map, in training and at test."""
    prototype_pairing: Literal["swapped", "straight"] = "swapped"
    """Which prototypes the normal prompt takes: the anomalous (`swapped`, the official code) or the normal ones."""
    rec_loss: Literal["pairwise_mean", "paired_sum", "off"] = "off"
    """Reconstruction loss of the VAE: over all pairs (official code, after MVTec), over each picture's own, or none."""


class QuickGELU(nn.Module):
    """x · σ(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Extractor(nn.Module):
    """Cross-attention of prototype queries over patches, then an MLP without expansion (the paper's ESTS)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, max(1, width // 64), batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        steps = (nn.Linear(width, width), QuickGELU(), nn.Linear(width, width))
        self.mlp = nn.Sequential(OrderedDict(zip(("c_fc", "gelu", "c_proj"), steps, strict=True)))

    def forward(self, queries_MD: Tensor, patches_BND: Tensor) -> Tensor:
        """Prototypes [B, M, D]."""
        x = queries_MD.expand(patches_BND.shape[0], -1, -1)
        x = x + self._attend(self.ln_1(x), self.ln_1(patches_BND))
        return x + self.mlp(self.ln_2(x))

    def _attend(self, queries_BMD: Tensor, patches_BND: Tensor) -> Tensor:
        """`self.attn`'s output [B, M, D]: its own backward fills two tensors as large as all keys with zeros."""
        attn, shape = self.attn, (self.attn.num_heads, self.attn.head_dim)
        w_q, w_kv = attn.in_proj_weight.split([attn.embed_dim, 2 * attn.embed_dim])
        b_q, b_kv = attn.in_proj_bias.split([attn.embed_dim, 2 * attn.embed_dim])
        q = F.linear(queries_BMD, w_q, b_q).unflatten(-1, shape).transpose(1, 2)  # [B, h, M, d]
        k, v = F.linear(patches_BND, w_kv, b_kv).unflatten(-1, (2, *shape)).permute(2, 0, 3, 1, 4)  # [B, h, N, d]
        return attn.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Encoder(nn.Module):
    """q(z | g): mean and log-variance, [B, D] each. Needed in training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.mean, self.log_var = (nn.Linear(width, width) for _ in range(3))

    def forward(self, g_BD: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(g_BD).relu()
        return self.mean(hidden), self.log_var(hidden)


class Decoder(nn.Module):
    """p(g | z), [..., D] → [..., D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class Cops(Learner):
    """Trained: contexts, prototype queries, extractor, VAE, deep tokens: 6,554,880 scalars at ViT-L."""

    Config = Config
    z: Tensor  # [R, D] prior samples, a buffer
    upsample: Upsample  # type: ignore[misc]  # a setting: the official map is blocky, its smoothing follows
    training_only = ("vae_encoder.",)

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        width = clip.text.width
        if width != clip.joint_width:
            raise UserError(f"cops adds joint vectors to tokens: widths {clip.joint_width}, {width} must agree")
        self.vv_start, sets = self.depths(config.vv_start, config.deep_sets)
        self.upsample = config.upsample
        self.ctx_pos = nn.Parameter(0.02 * torch.randn(1, 1, CONTEXT + STATE + CLASS, width))
        self.ctx_neg = nn.Parameter(0.02 * torch.randn(1, 1, CONTEXT + STATE + CLASS, width))
        self.t_n = nn.Parameter(0.02 * torch.randn(STATE, width))
        self.t_a = nn.Parameter(0.02 * torch.randn(STATE, width))
        self.extractor = Extractor(width)
        self.vae_encoder, self.vae_decoder = Encoder(width), Decoder(width)
        self.compound_prompts_text = nn.ParameterList(
            0.02 * torch.randn(config.deep_length, width) for _ in range(sets)
        )
        self.apply(_initialise)
        self.register_buffer("z", torch.zeros(config.samples, width))
        self._unstored_draws = torch.Generator().manual_seed(0)
        words = clip.text.embed(clip.text.ids("."))
        self._sot_C, self._end_2C = words[0], words[1:]

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls=True, vv_start=self.vv_start)

    def draw(self, generator: torch.Generator) -> None:
        self.z.copy_(torch.randn(self.z.shape, generator=generator))

    def pooled(self, features: ImageFeatures, kernel: int) -> Tensor:
        """Patches averaged over kernel×kernel neighbours, zero padding counted: F [B, N, D]."""
        image = features.patches.transpose(1, 2).unflatten(2, (self.clip.grid, self.clip.grid))
        return F.avg_pool2d(image, kernel, stride=1, padding=kernel // 2).flatten(2).transpose(1, 2)

    def prototypes(self, patches_BND: Tensor) -> tuple[Tensor, Tensor]:
        """Normal and anomalous prototypes [B, M, D]: queries do not see each other, so one pass over the patches."""
        both_BMD = self.extractor(torch.cat([self.t_n, self.t_a]), patches_BND)
        return both_BMD[:, :STATE], both_BMD[:, STATE:]

    @fixed
    def prefix(self) -> Prefix:
        """SOT and context of the normal and the anomalous prompt: what comes before the tokens of a picture."""
        context_2TC = torch.cat([self.ctx_pos[0, :, :CONTEXT], self.ctx_neg[0, :, :CONTEXT]])
        deep = DeepTokens(list(self.compound_prompts_text), self.config.deep_fp16)
        return self.clip.text.prefix(torch.cat([self._sot_C.expand(2, 1, -1), context_2TC], dim=1), deep=deep)

    def text_features(self, normal_BMD: Tensor, anomalous_BMD: Tensor, bias_BRD: Tensor) -> tuple[Tensor, Tensor]:
        """Unit text features T_0, T_1 [B, D]: shared prefix, then state tokens per image, then R class tokens.

        `swapped` (official code): the normal prompt takes the anomalous prototypes and the other way round.
        """
        B, R, _ = bias_BRD.shape
        _, state, klass = torch.cat([self.ctx_pos[0], self.ctx_neg[0]]).split([CONTEXT, STATE, CLASS], dim=1)
        pair = (normal_BMD, anomalous_BMD)
        if self.config.prototype_pairing == "swapped":
            pair = (anomalous_BMD, normal_BMD)
        state_tokens = (state + torch.stack(pair, dim=1)).flatten(0, 1)  # [2B, 6, C]
        prefix = self.clip.text.prefix(state_tokens, self.prefix().repeat(B))
        class_tokens = klass[None, :, None] + bias_BRD[:, None, :, None]  # [B, 2, R, 2, C]
        last = torch.cat([class_tokens, self._end_2C.expand(B, 2, R, -1, -1)], dim=3).flatten(0, 2)
        features = F.normalize(self.clip.text.encode(last, past=prefix.repeat(each=R)), dim=-1)
        normal, anomalous = F.normalize(features.unflatten(0, (B, 2, R)).mean(2), dim=-1).unbind(1)
        return normal, anomalous

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_cls + 4·L_seg + L_NC + L_AC + L_KL + L_rec. Prototypes enter the prompts detached."""
        g_BD = batch.features.cls
        patches_BND = self.pooled(batch.features, self.config.pool)
        normal_BMD, anomalous_BMD = self.prototypes(patches_BND)
        mean, log_var = self.vae_encoder(g_BD)
        decoded_BD = self.vae_decoder(mean + (0.5 * log_var).exp() * torch.randn(mean.shape).to(mean))
        text = self.text_features(normal_BMD.detach(), anomalous_BMD.detach(), decoded_BD[:, None])
        image_B = two_way_logit(g_BD, *text, self.config.temperature)
        p_BN = two_way_logit(patches_BND, *text, self.config.temperature).sigmoid()
        pixels_BN = self._pixels_per_patch(batch.masks)
        d_n, d_a = cosine_distance(patches_BND, normal_BMD), cosine_distance(patches_BND, anomalous_BMD)
        return {
            "cls": F.binary_cross_entropy_with_logits(image_B, batch.labels.float()),
            "seg": self.config.local_weight * self._segmentation(p_BN, pixels_BN, batch.masks),
            "nc": masked_mean(d_n, pixels_BN == 0),
            "ac": masked_mean(d_a, pixels_BN > 0),
            "kl": (-0.5 * (1 + log_var - mean**2 - log_var.exp())).sum(1).mean(),
            "rec": self._reconstruction(g_BD, decoded_BD),
        }

    def _pixels_per_patch(self, masks_BSS: Tensor) -> Tensor:
        patch = self.clip.patch_size
        return (F.avg_pool2d(masks_BSS[:, None], patch) * patch**2).round().flatten(1)

    def _segmentation(self, p_BN: Tensor, pixels_BN: Tensor, masks_BSS: Tensor) -> Tensor:
        """Focal + dice + dice of the upsampled map; what is nearest-upsampled need not be upsampled for that."""
        if self.upsample == "nearest":
            return patch_segmentation_loss(p_BN, pixels_BN, self.clip.patch_size**2)
        p_B1HW = F.interpolate(self.as_map(p_BN)[:, None], size=masks_BSS.shape[-2:], mode=self.upsample)
        return segmentation_loss(p_B1HW[:, 0], masks_BSS)

    def _reconstruction(self, g_BD: Tensor, decoded_BD: Tensor) -> Tensor:
        """`pairwise_mean` is the official code (a broadcast over all pairs); `paired_sum` the evident intent."""
        if self.config.rec_loss == "off":
            return g_BD.new_zeros(())
        if self.config.rec_loss == "paired_sum":
            return ((g_BD - decoded_BD) ** 2).sum(1).mean()
        return ((g_BD[:, None] - decoded_BD[None]) ** 2).mean()

    def constants(self, target: str) -> tuple[int, float, float]:
        """(K, α, β): `paper` keys them on the target's name, `strict` takes the configuration's."""
        if self.protocol == "strict":
            return self.config.pool, self.config.alpha, self.config.beta
        return (3, 0.35, 1.0) if "visa" in target else (5, 0.26, 0.9)

    def _samples(self, count: int) -> Tensor:
        """z [B or 1, R, D]: stored with the checkpoint (strict), or anew for each image (paper)."""
        if self.protocol == "strict":
            return self.z[None].expand(count, -1, -1)
        return torch.randn((count, *self.z.shape), generator=self._unstored_draws).to(self.z)

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        kernel, alpha, beta = self.constants(target)
        patches_BND = self.pooled(features, kernel)
        normal_BMD, anomalous_BMD = self.prototypes(patches_BND)
        bias_BRD = self.vae_decoder(self._samples(patches_BND.shape[0]))
        text = self.text_features(normal_BMD, anomalous_BMD, bias_BRD)
        image_B = two_way_logit(features.cls, *text, self.config.temperature).double().sigmoid()
        p_BN = two_way_logit(patches_BND, *text, self.config.temperature).double().sigmoid()
        d_n = min_max(cosine_distance(patches_BND, normal_BMD).double())
        d_a = min_max(cosine_distance(patches_BND, anomalous_BMD).double())
        u_BN = p_BN * (alpha * d_n + (1 - alpha) * (1 - d_a))
        score_B = beta * image_B + (1 - beta) * u_BN.max(1).values
        return Scored(score_B, self.as_map(torch.logit(u_BN, eps=1e-12)))


def cosine_distance(patches_BND: Tensor, prototypes_BMD: Tensor) -> Tensor:
    """Distance 1 − cos of each patch to its nearest prototype, [B, N]."""
    cosine = F.normalize(patches_BND, dim=-1) @ F.normalize(prototypes_BMD, dim=-1).transpose(1, 2)
    return (1 - cosine).min(-1).values


def min_max(x_BN: Tensor) -> Tensor:
    """Each row stretched to [0, 1]; a constant row becomes 0 (the official code divides by zero there)."""
    low, high = x_BN.min(1, keepdim=True).values, x_BN.max(1, keepdim=True).values
    return torch.where(high > low, (x_BN - low) / (high - low).clamp_min(torch.finfo(x_BN.dtype).tiny), 0.0)


def masked_mean(x: Tensor, keep: Tensor) -> Tensor:
    """Mean of x where keep; 0 when nothing is kept."""
    return (x * keep).sum() / keep.sum().clamp_min(1)


def patch_segmentation_loss(p_BN: Tensor, pixels_BN: Tensor, area: int, smooth: float = 1e-5) -> Tensor:
    """Focal + dice + dice of the nearest-upsampled map, computed on patches: equal to the pixel form.

    p_BN: probability of anomalous per patch; pixels_BN: anomalous pixels in it, of `area`.
    """
    anomalous = (1 - smooth) * p_BN + smooth * (1 - p_BN) + smooth
    normal = (1 - smooth) * (1 - p_BN) + smooth * p_BN + smooth
    focal = -pixels_BN * (1 - anomalous) ** 2 * anomalous.log() - (area - pixels_BN) * (1 - normal) ** 2 * normal.log()
    fraction = pixels_BN / area
    # dice_loss adds 1 to sums over pixels; on patches the same is 1/area
    dice = dice_loss(p_BN, fraction, 1 / area) + dice_loss(1 - p_BN, 1 - fraction, 1 / area)
    return focal.mean() / area + dice


def _initialise(module: nn.Module) -> None:
    """Linear N(0, 0.02) with zero bias; attention's in_proj keeps torch's Xavier default."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
