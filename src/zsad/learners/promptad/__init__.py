"""PromptAD: learning prompts with only normal samples for few-shot anomaly detection (Li et al., CVPR 2024,
arXiv 2404.05231).

Prompts of one category, learned from k normal pictures: what follows a learned context is the class name (normal), a
phrase that names a defect (manual abnormal) or a learned suffix and the class name (learned abnormal). Two sets: one
against the image feature for image scores, one against the patches for maps. A memory of the pictures' tokens gives a
second map; both meet in a harmonic mean. Official code: FuNz-0/PromptAD.
Deviations: both sets are trained side by side in one process, in single precision; the last epoch counts, while the
official code keeps the epoch with the best AUROC on the test set; depths are scaled to the backbone.
`paper`: test pictures with red and blue exchanged, the patches' margin summed over patches, the memory's best value
read off the upsampled map.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures, PositionResize
from zsad.clip.token_tree import TokenTree
from zsad.common.errors import UserError
from zsad.config.schema import Block, Protocol
from zsad.learners.base import Scored, scaled
from zsad.learners.few_shot import FewShotLearner, Support
from zsad.learners.promptad.losses import alignment, contrast, triplet, triplet_over_patches
from zsad.learners.promptad.phrases import WITH, abnormal_states
from zsad.learners.promptad.prompts import Contexts, TextFeatures, encode_prompts, prompt_tree
from zsad.learners.shared.pictures import of_each
from zsad.learners.shared.similarity import two_way_logit

LR_END = 1e-5
OFFICIAL_MAP_SIDE = 400  # pixels: the size of the official maps, off which `paper` reads the memory's best value


class Config(Block):
    """Official settings; sizes of the image-score set and of the map set where they differ."""

    epochs: int = Field(default=100, ge=0)
    """Steps of the optimiser, each over all support pictures; the last one counts."""
    lr: float = Field(default=0.002, gt=0)
    """Learning rate of SGD in the first epoch; half a cosine leads from it towards 0.00001."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(default=0.0005, ge=0)
    """Weight decay of SGD."""
    context_length: int = Field(default=4, ge=1, le=30)
    """Learned tokens before the words of every prompt."""
    suffix_length: int = Field(default=1, ge=1, le=10)
    """Learned tokens between context and class name in learned abnormal prompts."""
    contexts_image: int = Field(default=3, ge=1)
    """Contexts of the set for image scores."""
    contexts_map: int = Field(default=1, ge=1)
    """Contexts of the set for maps."""
    suffixes: int = Field(default=4, ge=1)
    """Learned abnormal suffixes of each set; each meets every context."""
    alignment: float = Field(default=0.001, ge=0)
    """Weight λ₁ of the distance between mean manual and mean learned abnormal prompts."""
    logit_scale: Literal["log", "exp"] = "log"
    """Factor of the cosines: CLIP's parameter as stored (`log`, about 4.6, the official code) or its exponential."""
    memory_layers: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    """Image blocks (from 1) whose tokens are remembered, none of them the last. null = 3 and 8 of 12, scaled."""
    memory_tokens: Literal["halfway", "output"] = "halfway"
    """What is remembered: a block's output plus the next one's attention (`halfway`, the official code) or without."""
    sigma: float = Field(default=5.18, ge=0)
    """Standard deviation of the map's Gaussian filter, in pixels at 518 px (official: 4 at 400); scales. 0 = none."""


class PromptAD(FewShotLearner):
    """Stored: unit tokens [k·N, C] of the support per remembered block, unit text prototypes [2, D] of both sets."""

    Config = Config  # type: ignore[assignment]  # a few-shot method has no auxiliary source, hence no batches of it
    position_resize: ClassVar[PositionResize] = "bicubic_antialias"
    training_only: ClassVar[tuple[str, ...]] = ("contexts.",)
    text_image: Tensor
    text_map: Tensor

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict", shots: int = 1) -> None:
        super().__init__(config, clip, protocol, shots)
        blocks = len(clip.image.blocks)
        self.layers = config.memory_layers or tuple(scaled(layer, 12, blocks) for layer in (3, 8))
        if not all(1 <= layer < blocks for layer in self.layers):
            raise UserError(f"memory_layers {list(self.layers)}: the image tower takes 1 to {blocks - 1}")
        self.scale = clip.logit_scale if config.logit_scale == "exp" else math.log(clip.logit_scale)
        suffixes = (config.suffixes, config.suffix_length)
        self.contexts = nn.ModuleDict(
            {
                task: Contexts((count, config.context_length), suffixes, clip.text.width)
                for task, count in (("image", config.contexts_image), ("map", config.contexts_map))
            }
        )
        width = clip.image.class_embedding.shape[0]
        for layer in self.layers:
            self.register_buffer(f"gallery_{layer}", torch.zeros(shots * clip.grid**2, width))
        self.register_buffer("text_image", torch.zeros(2, clip.joint_width))
        self.register_buffer("text_map", torch.zeros(2, clip.joint_width))

    @property
    def spec(self) -> FeatureSpec:
        tokens = FeatureSpec(cls_post=True, vv_start=0, bgr=self.protocol == "paper")
        if self.config.memory_tokens == "halfway":
            return replace(tokens, halfway=tuple(layer + 1 for layer in self.layers))
        return replace(tokens, layers=self.layers)

    @property
    def support_spec(self) -> FeatureSpec:
        return replace(self.spec, bgr=False)

    @property
    def adapts_to_name(self) -> bool:
        return True

    def _tokens(self, features: ImageFeatures, layer: int) -> Tensor:
        """Unit tokens [B, N, C] of a remembered block."""
        halfway = self.config.memory_tokens == "halfway"
        return F.normalize(features.halfway(layer + 1) if halfway else features.layer(layer), dim=-1)

    def adapt(self, support: Support) -> Iterator[dict[str, float]]:
        """Remember the tokens, then train both sets of prompts on the frozen features of the support."""
        features = support.encode(support.pictures)
        for layer in self.layers:
            self.get_buffer(f"gallery_{layer}").copy_(self._tokens(features, layer).flatten(0, 1))
        tree = self.prompts(support.name, support.category)
        images, patches = F.normalize(features.cls_post, dim=-1), F.normalize(features.patches, dim=-1)
        config = self.config
        optimizer = torch.optim.SGD(
            self.contexts.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, config.epochs), LR_END)
        for _ in range(config.epochs):
            terms = self.losses(images, patches, self.text_features(tree))
            optimizer.zero_grad()
            torch.stack(list(terms.values())).sum().backward()
            optimizer.step()
            schedule.step()
            yield {name: value.item() for name, value in terms.items()}
        with torch.no_grad():
            image, patch = self.text_features(tree)
            self.text_image.copy_(image.prototypes())
            self.text_map.copy_(patch.prototypes())

    def prompts(self, name: str, category: str = "") -> TokenTree:
        """The prompts of class `name`, their learned tokens left open; `category` may have defects of its own."""
        config, defects = self.config, category if category in WITH else name
        sizes = (config.context_length, (config.suffixes, config.suffix_length))
        return prompt_tree(self.clip.text, name, abnormal_states(defects), *sizes)

    def text_features(self, tree: TokenTree) -> list[TextFeatures]:
        """Features of the prompts with the contexts as they are: of the image-score set and of the map set."""
        return encode_prompts(self.clip.text, list(self.contexts.children()), tree)  # type: ignore[arg-type]

    def losses(self, images_kD: Tensor, patches_kND: Tensor, text: Sequence[TextFeatures]) -> dict[str, Tensor]:
        """Weighted terms of both sets (image_, map_), of unit image features: the sets share no parameter."""
        terms = {}
        for task, v, prompts in zip(("image", "map"), (images_kD, patches_kND), text, strict=True):
            normal, abnormal = prompts.prototypes()
            margin = triplet_over_patches if task == "map" and self.protocol == "paper" else triplet
            terms[f"{task}_contrast"] = contrast(v, normal, F.normalize(prompts.abnormal, dim=-1), self.scale)
            terms[f"{task}_triplet"] = margin(v, normal, abnormal)
            terms[f"{task}_alignment"] = self.config.alignment * alignment(prompts)
        return terms

    def visual(self, features: ImageFeatures) -> Tensor:
        """Memory map [B, N] in [0, 1]: mean over blocks of ½ (1 − cosine) to the nearest remembered token."""
        nearest = []
        for layer in self.layers:
            tokens_BNC = self._tokens(features, layer)
            nearest.append(of_each(partial(_largest_cosine, self.get_buffer(f"gallery_{layer}").T), tokens_BNC))
        return ((1 - torch.stack(nearest).mean(0)) / 2).clamp(0, 1)

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        """Harmonic means of text and memory; neither reads `names`: the category is the one adapted to."""
        visual_BN = self.visual(features)
        best = self.as_map(visual_BN)
        if self.protocol == "paper":
            best = F.interpolate(best[:, None], size=OFFICIAL_MAP_SIDE, mode="bilinear")
        image_B = self._text_logit(features.cls_post, self.text_image)
        patches_BN = self._text_logit(features.patches, self.text_map)
        score_B = harmonic_logit(image_B.double(), best.flatten(1).amax(1).double()).sigmoid()
        return Scored(score_B, self.as_map(harmonic_logit(patches_BN.double(), visual_BN.double())))

    def _text_logit(self, v: Tensor, prototypes_2D: Tensor) -> Tensor:
        """Log-odds of abnormal in the softmax of scale · cosine: [B, …, D] → [B, …]."""
        return two_way_logit(v, prototypes_2D[:1], prototypes_2D[1:], 1 / self.scale)


def _largest_cosine(gallery_CT: Tensor, tokens_NC: Tensor) -> Tensor:
    return (tokens_NC @ gallery_CT).amax(-1)


def harmonic_logit(text_logit: Tensor, visual: Tensor) -> Tensor:
    """Log-odds of 1 / (1/t + 1/v), which lies in [0, ½], for t = sigmoid(text_logit) and v in [0, 1]: exact, no 0/0."""
    return -torch.logaddexp(-text_logit, -visual.clamp(min=1e-12).log())
