"""APRIL-GAN: linear layers that bring patches of four blocks to CLIP's text (Chen, Han, Zhang, 2023, arXiv 2305.17382).

First of the zero-shot track of the VAND challenge at CVPR 2023, where it is also called VAND. Two hand-written prompt
ensembles per class name, 7 normal and 5 anomalous states × 35 templates; a linear layer for each block read, learned
on an auxiliary set with the maps' loss alone; the image score is CLIP's own and learns nothing.
Official code: ByChelsea/VAND-APRIL-GAN (f13b8a6); parameter names are its state dict's.
The official map is a sum over blocks of softmaxes, ours their mean: the same ranking, within [0, 1].
`strict` and `paper` differ in preprocessing only: the official inference reads no constant from the target.
Mosaics of the official training on MVTec AD: a fixed pool of views per picture (`augmented_views`, `mosaic`).

Shapes: B images, N patches, C vision width, D joint width.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zsad.clip.backbone import Activation, Clip, FeatureSpec, ImageFeatures, PositionResize
from zsad.config.schema import Protocol
from zsad.learners.base import Batch, Scored, Upsample
from zsad.learners.shared.losses import dice_loss, focal_loss
from zsad.learners.shared.mosaic import MosaicConfig, MosaicLearner
from zsad.learners.shared.similarity import mean_log_odds, two_way_logit
from zsad.learners.shared.states import NORMAL_STATES, WITH_BROKEN

TEMPLATES = (
    "a bad photo of a {}.",
    "a low resolution photo of the {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a bright photo of a {}.",
    "a dark photo of the {}.",
    "a photo of my {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a photo of one {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "a low resolution photo of a {}.",
    "a photo of a large {}.",
    "a blurry photo of a {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a photo of the small {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "a dark photo of a {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
)

# Prototypes by name, of each text tower (by its last norm): learners of several seeds on one CLIP compute them once.
KNOWN: WeakKeyDictionary[nn.Module, dict[str, Tensor]] = WeakKeyDictionary()


class Config(MosaicConfig):
    """Official settings for a training on VisA; on MVTec AD: 3 epochs, and mosaics."""

    layers: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    """Image blocks (from 1) whose patches are read. null = 6, 12, 18, 24 of 24, scaled."""
    temperature: float = Field(default=0.01, gt=0)
    """Temperature of the softmax over the two prompts, for picture and patches."""
    sigma: float = Field(default=0.0, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px; scales with the image side. 0 = none."""
    map_scale: int | None = Field(default=None, ge=1)
    """Side of the map in multiples of the patch grid. null = full resolution."""


class AprilGan(MosaicLearner):
    """Trained: a layer C → D for each block read, 3,148,800 scalars at ViT-L."""

    Config = Config
    openai_activation: Activation = "gelu"  # type: ignore[misc]  # as the official code runs OpenAI's weights
    position_resize: PositionResize = "bicubic_antialias"  # type: ignore[misc]
    upsample: Upsample = "bilinear_corners"  # type: ignore[misc]

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        self.layers = self.read_layers(config.layers)
        vision = clip.image.class_embedding.shape[0]
        self.fc = nn.ModuleList(nn.Linear(vision, clip.joint_width) for _ in self.layers)
        self._prototypes = KNOWN.setdefault(clip.text.ln_final, {})

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls_post=True, layers=self.layers)

    @property
    def map_grid(self) -> tuple[int, int]:
        return self.fine_grid(self.config.map_scale)

    @torch.no_grad()
    def prototypes(self, name: str) -> Tensor:
        """Unit text prototypes [2, D] of a class name: normal, anomalous. Means of unit features, computed once."""
        if name not in self._prototypes:
            means = [self._features(states, name).mean(0) for states in (NORMAL_STATES, WITH_BROKEN)]
            self._prototypes[name] = F.normalize(torch.stack(means), dim=-1)
        return self._prototypes[name]

    def _features(self, states: Sequence[str], name: str) -> Tensor:
        """Unit features of every state in every template: [states · 35, D]."""
        prompts = [template.format(state.format(name)) for state in states for template in TEMPLATES]
        return F.normalize(self.clip.text.encode_strings(prompts), dim=-1)

    def text_features(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Prototypes of each image's name, [B, D]: normal, anomalous."""
        normal, anomalous = torch.stack([self.prototypes(name) for name in names]).unbind(1)
        return normal, anomalous

    def patch_logits(self, features: ImageFeatures, names: Sequence[str], size: Sequence[int]) -> Iterator[Tensor]:
        """Log-odds of anomalous [B, *size] from each block read: enlarged first, corners aligned, as the code does."""
        text = self.text_features(names)
        for layer, linear in zip(self.layers, self.fc, strict=True):
            logits_BN = two_way_logit(linear(features.layer(layer)), *text, self.config.temperature)
            grid = self.as_map(logits_BN)[:, None]
            yield F.interpolate(grid, size=tuple(size), mode="bilinear", align_corners=True)[:, 0]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Focal and Dice of the anomalous map, each summed over the blocks read."""
        maps = [logits.sigmoid() for logits in self.patch_logits(batch.features, batch.names, batch.masks.shape[-2:])]
        return {
            "focal": torch.stack([focal_loss(p_BHW, batch.masks) for p_BHW in maps]).sum(),
            "dice": torch.stack([dice_loss(p_BHW, batch.masks) for p_BHW in maps]).sum(),
        }

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        image_B = two_way_logit(features.cls_post, *self.text_features(names), self.config.temperature)
        maps = torch.stack(list(self.patch_logits(features, names, self.map_grid)))
        return Scored(image_B.double().sigmoid(), mean_log_odds(maps))
