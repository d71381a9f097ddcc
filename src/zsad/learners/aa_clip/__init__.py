"""AA-CLIP: anomaly-aware CLIP by residual adapters in both towers (Ma et al., CVPR 2025, arXiv 2503.06661).

Stage 1 adapts the text tower: adapters on exit of its first blocks, and a projection in place of CLIP's, so that the
prototypes of normal and anomalous prompts part on frozen patches read by V-V attention. Stage 2 keeps the prototypes
and adapts the image tower: adapters on exit of its first blocks, a projection a layer for the map, one for the image.
Official code: Mwxinnn/AA-CLIP (53db195); parameter names are its state dicts'.

strict: fixed epochs (official: every epoch of stage 2 is tested on the target); one filter for every domain; the image
score is the mean of two cosines brought to [0, 1], per image: the map's largest difference of cosines, and the image's
cosine to the anomalous prototype.
paper: filter and score by the target's domain, `MEDICAL`; elsewhere the score is the cosine part alone, to be fused
with the map's largest value after a min–max over each category (`image_top`).
Views: a fixed pool per picture for both stages instead of fresh augmentation in every epoch.

Shapes: B images, N patches, C vision width, D joint width.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.clip.adaptation import computing_in, run_blocks, self_attention
from zsad.clip.attention import Block, value_value
from zsad.clip.backbone import Activation, Clip, FeatureSpec, ImageFeatures, PositionResize
from zsad.common.errors import UserError
from zsad.config.schema import Protocol
from zsad.learners.aa_clip.adapters import Adapter, ImageAdapter, residual
from zsad.learners.aa_clip.config import Config
from zsad.learners.aa_clip.prompts import prompts
from zsad.learners.aa_clip.views import augment
from zsad.learners.base import Batch, Learner, Milestones, Phase, Sample, Scored, Upsample, scaled
from zsad.learners.shared.fixed import fixed
from zsad.learners.shared.losses import segmentation_loss

MEDICAL = ("brain", "liver", "retina", "colon", "clinicdb", "kvasir", "cvc300")  # parts of names, for `paper`
MEDICAL_BLUR = 1.5


class AaClip(Learner):
    """Trained: text adapters and projection; image adapters, a projection a layer, one for the image: 12,582,912."""

    Config = Config
    openai_activation: Activation = "gelu"  # type: ignore[misc]  # as the official code runs OpenAI's weights
    position_resize: PositionResize = "bicubic_antialias"  # type: ignore[misc]
    upsample: Upsample = "bilinear_corners"  # type: ignore[misc]

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        width, vision = clip.text.width, clip.image.class_embedding.shape[0]
        text_adapters, image_adapters = self._adapters()
        self.vv_start, _ = self.depths(config.vv_start)
        self.layers = self.read_layers(config.layers)
        text = [Adapter(width, width) for _ in range(text_adapters)]
        self.text_adapter = nn.ModuleList([*text, Adapter(width, clip.joint_width)])
        self.image_adapter = ImageAdapter(vision, clip.joint_width, image_adapters, len(self.layers), config.relu)
        for parameter in self.parameters():
            nn.init.xavier_uniform_(parameter)

    def _adapters(self) -> tuple[int, int]:
        """How many blocks of the text and of the image tower have one."""
        text_blocks, blocks = len(self.clip.text.blocks), len(self.clip.image.blocks)
        given, given_image = self.config.text_adapters, self.config.image_adapters
        text = scaled(3, 12, text_blocks) if given is None else given
        image = scaled(6, 24, blocks) if given_image is None else given_image
        if text >= text_blocks:
            raise UserError(f"text_adapters {text}: the text tower takes at most {text_blocks - 1}")
        if image > blocks:
            raise UserError(f"image_adapters {image}: the image tower has {blocks} blocks")
        return text, image

    @property
    def spec(self) -> FeatureSpec:
        """The state after the first block: its adapter is the first change, unless V-V attention comes before it."""
        return FeatureSpec(entry=min(1, self.vv_start))

    @property
    def training_spec(self) -> FeatureSpec:
        """Stage 1 adds CLIP's own image feature."""
        return FeatureSpec(entry=min(1, self.vv_start), cls_post=True)

    @property
    def image_top(self) -> dict[str, float] | None:
        """`paper`: the largest value of the map."""
        return None if self.protocol == "strict" else {"": 1 / self.clip.image_size**2}

    @property
    def views(self) -> int:
        return self.config.augmented_views

    def view(self, sample: Sample, anomalous: Sequence[Callable[[], Sample]], generator: np.random.Generator) -> Sample:
        return augment(sample, generator)

    def phases(self) -> Sequence[Phase]:
        """Stage 1 at a constant rate in its own batch size, stage 2 with milestones."""
        config = self.config
        text = [{"params": list(self.text_adapter.parameters()), "lr": config.text_lr}]
        image = [{"params": list(self.image_adapter.parameters()), "lr": config.lr}]
        return (
            Phase(config.text_epochs, text, self.text_loss, batch_size=config.text_batch_size),
            Phase(config.epochs, image, self.loss, Milestones(config.milestones, 0.5)),
        )

    def text_features(self, names: Sequence[str]) -> Tensor:
        """Unit prototypes [B, 2, D] of each name, normal first; each name is encoded once."""
        found = {name: self._prototypes(name) for name in dict.fromkeys(names)}
        return torch.stack([found[name] for name in names])

    @fixed
    def _prototypes(self, name: str) -> Tensor:
        """Of each state the mean of its unit prompts, at unit length: [2, D]."""
        normal, anomalous = prompts(name)
        text, adapters = self.clip.text, list(self.text_adapter)
        embeddings, eot = text.embed_strings([*normal, *anomalous])
        hidden = text.hidden(embeddings, eot, after=residual(adapters[:-1], self.config.text_share))
        features = F.normalize(adapters[-1](text.ln_final(hidden)), dim=-1)
        return F.normalize(torch.stack([f.mean(0) for f in features.split([len(normal), len(anomalous)])]), dim=-1)

    def frozen_patches(self, features: ImageFeatures) -> Tensor:
        """Patches [B, N, D] of the last layer as stage 1 reads them: V-V attention, plus CLIP's image feature."""
        tower, last = self.clip.tower(features.precision), self.layers[-1]
        with torch.no_grad(), computing_in(features.precision, self.clip.device):
            states = run_blocks(tower.blocks[:last], features.entry, self.spec.entry or 0, attention=self._surgery)
            *_, x = [features.entry, *states]
            patches = (tower.ln_post(x[:, 1:]) @ tower.projection).float()
        return F.normalize(patches, dim=-1) + F.normalize(features.cls_post, dim=-1)[:, None]

    def _surgery(self, index: int, block: Block, x: Tensor) -> Tensor:
        if index < self.vv_start:
            return self_attention(index, block, x)
        if self.config.vv_over == "patches":
            return value_value(block, block.qkv(x)[2])
        return value_value(block, block.qkv(x.transpose(0, 1))[2]).transpose(0, 1)

    def image_features(self, features: ImageFeatures) -> tuple[list[Tensor], Tensor]:
        """Unit patches [B, N, D] of each layer, and the image's mean patch [B, D], of the adapted tower."""
        tower, first = self.clip.tower(features.precision), self.spec.entry or 0
        adapt = residual(list(self.image_adapter.layer_adapters), self.config.image_share)
        with computing_in(features.precision, self.clip.device):
            x = adapt(first - 1, features.entry) if first else features.entry
            states = [x, *run_blocks(tower.blocks[: self.layers[-1]], x, first, after=adapt)]
            tokens = [tower.ln_post(states[layer - first][:, 1:]) for layer in self.layers]
            parts = [head(x) for head, x in zip(self.image_adapter.seg_proj, tokens, strict=True)]
            image = self.image_adapter.det_proj(tokens[-1])
        return [F.normalize(part.float(), dim=-1) for part in parts], F.normalize(image.float(), dim=-1).mean(1)

    def _patch_logits(self, patches_BND: Tensor, text_B2D: Tensor) -> Tensor:
        """Log-odds of anomalous [B, g, g] of a softmax over both prototypes."""
        direction = (text_B2D[:, 1] - text_B2D[:, 0]) / self.config.temperature
        return self.as_map((patches_BND @ direction[..., None])[..., 0])

    def _segmentation(self, patches_BND: Tensor, text_B2D: Tensor, masks: Tensor) -> Tensor:
        """Focal + Dice + Dice at the masks' size; softmax follows upsampling."""
        logits = self._patch_logits(patches_BND, text_B2D)[:, None]
        logits = F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=True)
        return segmentation_loss(logits[:, 0].sigmoid(), masks)

    def text_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 1: the last layer alone, as the official loop over layers keeps no other."""
        text = self.text_features(batch.names)
        cosine = (text[:, 0] * text[:, 1]).sum(1).mean()
        return {
            "seg": self._segmentation(self.frozen_patches(batch.features), text, batch.masks),
            "orthogonal": self.config.orthogonal_weight * cosine**2,
        }

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 2: cross entropy of the image on plain cosines, segmentation summed over layers."""
        with torch.no_grad():
            text = self.text_features(batch.names)
        layers, image = self.image_features(batch.features)
        cosines_B2 = (text @ image[..., None])[..., 0]
        return {
            "cls": F.cross_entropy(cosines_B2, batch.labels),
            "seg": torch.stack([self._segmentation(patches, text, batch.masks) for patches in layers]).sum(),
        }

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        """Map log-odds: half the mean of the layers' filtered log-odds; the official map is L (½ + it), L layers."""
        text = self.text_features(names)
        layers, image = self.image_features(features)
        medical = self.protocol == "paper" and any(part in target for part in MEDICAL)
        mean_Bgg = torch.stack([self._patch_logits(patches, text) for patches in layers]).mean(0).double()
        logits = blurred(mean_Bgg, MEDICAL_BLUR if medical else self.config.blur) / 2
        anomalous = (1 + (text[:, 1] * image).sum(1).double()) / 2
        largest = logits.flatten(1).amax(1)
        if self.protocol == "paper":
            return Scored(largest.sigmoid() if medical else anomalous, logits)
        in_cosines = 2 * self.config.temperature * largest  # unlike probabilities, as wide as the other half
        return Scored(((1 + in_cosines).clamp(0, 2) / 2 + anomalous) / 2, logits)


def blurred(maps_Bgg: Tensor, sigma: float) -> Tensor:
    """Gaussian filter of the patch grid, mirrored at the border: 7 patches wide at σ = 1, 9 at 1.5."""
    if sigma == 0:
        return maps_Bgg
    radius = min(math.ceil(8 * sigma / 3), maps_Bgg.shape[-1] - 1)
    offsets = torch.arange(-radius, radius + 1, device=maps_Bgg.device, dtype=maps_Bgg.dtype)
    kernel = torch.softmax(-(offsets**2) / (2 * sigma**2), dim=0)
    padded = F.pad(maps_Bgg[:, None], (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]
