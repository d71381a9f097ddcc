"""AdaptCLIP: three adapters on a frozen CLIP (Gao et al., AAAI 2026, arXiv 2505.09926).

Textual: two learned prompts without words against CLIP's own features. Visual: residual MLPs on CLIP's features against
hand-written prompts about an "object". Comparing (PQA): each patch beside its nearest patch of normal pictures. All
learn on an auxiliary source, where a normal training picture of the category stands in for those of the target.
AdaptCLIP-Zero, the learner, scores with the first two. With `shots`, the same weights and k normal pictures of the
target's category score with all three, and nothing is learned any more.
Official code: gaobb/AdaptCLIP (354d9e3); names are its state dict's. Deviations: docs/methods/adapt_clip.md.
`strict` and `paper` differ in preprocessing only: the official inference reads no constant from the target.

Shapes: B images, k shots, L layers, N = g² patches, D joint width, S image side in pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.config.schema import Protocol
from zsad.learners.adapt_clip.adapters import (
    ComparingAdapter,
    TextualAdapter,
    VisualAdapter,
    nearest,
    running_statistics,
    unit_patches,
)
from zsad.learners.adapt_clip.config import Config
from zsad.learners.adapt_clip.fusion import enlarge, harmonic_mean, peak
from zsad.learners.base import PAPER_SIDE, Batch, Scored
from zsad.learners.few_shot import FewShotLearner, Support
from zsad.learners.shared.fixed import fixed
from zsad.learners.shared.losses import segmentation_loss
from zsad.learners.shared.prompts import prototypes
from zsad.learners.shared.similarity import mean_log_odds, two_way_logit
from zsad.learners.shared.states import States

TINY = 1e-12  # maps are kept this far from 0 and 1; stored ones end at 3.8e-11
Views = tuple[Tensor, Tensor]  # log-odds of anomalous by one adapter: of the image [B], of its map [B, h, w]

# Prototypes of the fixed prompts, of each text tower (by its last norm): all learners on one CLIP share them.
KNOWN: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()


class AdaptClip(FewShotLearner):
    """Trained on a source: 1.8 million scalars at ViT-L. `shots` > 0: its few-shot form, of one category."""

    Config = Config
    few_shot: ClassVar[bool] = False
    few_shot_form: ClassVar[bool] = True
    memory: Tensor  # few-shot form: unit patches of the support [L, k · N, D], a buffer

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict", shots: int = 0) -> None:
        super().__init__(config, clip, protocol, shots)
        width = clip.joint_width
        self.layers = self.read_layers(config.layers)
        self.vv_start, _ = self.depths(config.vv_start)
        self.textual_learner = TextualAdapter(config.context_length, clip.text.width)
        self.visual_learner = VisualAdapter(width, config.reduction)
        self.pq_learner = ComparingAdapter(len(self.layers), width, config.hidden, config.top_patches, config.context)
        self._words = clip.text.embed(clip.text.ids("."))
        if shots:
            self.register_buffer("memory", torch.zeros(len(self.layers), shots * clip.grid**2, width))

    def _reading(self, layers: tuple[int, ...]) -> FeatureSpec:
        return FeatureSpec(cls=True, vv_start=self.vv_start, vv_layers=layers)

    @property
    def spec(self) -> FeatureSpec:
        return self._reading(self.layers if self.shots else self.layers[-1:])

    @property
    def training_spec(self) -> FeatureSpec:
        return self._reading(self.layers)

    @property
    def references(self) -> int:
        return self.config.references

    @property
    def map_grid(self) -> tuple[int, int]:
        """Means of patch maps are exact on the grid; the few-shot form's harmonic means follow upsampling."""
        return self.fine_grid(self.config.map_scale) if self.shots else super().map_grid

    @property
    def not_exportable(self) -> str | None:
        return "its few-shot form looks up the memory picture by picture" if self.shots else None

    @fixed
    @torch.no_grad()
    def fixed_features(self) -> Tensor:
        """Unit features [2, D] of the hand-written prompts, normal first."""
        if self.clip.text.ln_final not in KNOWN:
            KNOWN[self.clip.text.ln_final] = prototypes(self.clip.text, States(), "object")
        return KNOWN[self.clip.text.ln_final]

    @fixed
    def learned_features(self) -> Tensor:
        """Unit features [2, D] of the learned prompts, normal first."""
        return F.normalize(self.clip.text.encode(self.textual_learner(self._words)), dim=-1)

    def visual(self, features: ImageFeatures) -> Views:
        """What the visual adapter sees."""
        adapted = self.visual_learner
        tokens = adapted.local_adater(features.stream(self.layers[-1]))
        return self._against(self.fixed_features(), adapted.global_adapter(features.cls), tokens)

    def textual(self, features: ImageFeatures) -> Views:
        """What the textual adapter sees."""
        return self._against(self.learned_features(), features.cls, features.stream(self.layers[-1]))

    def _against(self, text_2D: Tensor, image_BD: Tensor, tokens_BTD: Tensor) -> Views:
        normal, anomalous, temperature = text_2D[:1], text_2D[1:], self.config.temperature
        patches_BN = two_way_logit(tokens_BTD[:, 1:], normal, anomalous, temperature)
        return two_way_logit(image_BD, normal, anomalous, temperature), self.as_map(patches_BN)

    def compared(self, features: ImageFeatures, memory: Sequence[Sequence[Tensor]]) -> Iterator[tuple[Tensor, Views]]:
        """Of each layer: distances to the memory [B, g, g], and what the comparing adapter sees at 4 times the grid.

        memory: for each layer, unit patches [M, D] to compare each image with.
        """
        for index, (layer, memories) in enumerate(zip(self.layers, memory, strict=True)):
            queries = unit_patches(features.stream(layer))
            distances, aligned = nearest(queries, memories)
            yield self.as_map(distances), self.pq_learner(index, *map(self._as_image, (queries, aligned)))

    def _as_image(self, patches_BND: Tensor) -> Tensor:
        return self.as_map(patches_BND.transpose(1, 2))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy of the image + focal + Dice + Dice of the map, of each adapter and each layer compared.

        A picture that is alone in its batch has no statistics of its own for the batch norms.
        """
        assert batch.references is not None  # what `references` is for
        memory = [unit_patches(batch.references.stream(layer)).unbind() for layer in self.layers]
        with running_statistics(self, len(batch.labels) == 1):
            seen = {"visual": [self.visual(batch.features)], "textual": [self.textual(batch.features)]}
            seen["compared"] = [views for _, views in self.compared(batch.features, memory)]
        terms = {}
        for name, views in seen.items():
            terms[f"{name}_global"] = torch.stack([_image_loss(image_B, batch) for image_B, _ in views]).sum()
            terms[f"{name}_local"] = torch.stack([_map_loss(map_Bhw, batch) for _, map_Bhw in views]).sum()
        return terms

    @torch.no_grad()
    def adapt(self, support: Support) -> Iterator[dict[str, float]]:
        """Remember the support: nothing to report, since nothing is trained."""
        features = support.encode(support.pictures)
        for own_MD, layer in zip(self.memory, self.layers, strict=True):
            own_MD.copy_(unit_patches(features.stream(layer)).flatten(0, 1))
        return iter(())

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        with running_statistics(self):
            return self._few_shot(features) if self.shots else self._zero_shot(features)

    def _zero_shot(self, features: ImageFeatures) -> Scored:
        """The mean of both adapters, and of the map's peak."""
        images, maps = zip(self.visual(features), self.textual(features), strict=True)
        map_Bgg = mean_log_odds(torch.stack(maps))
        peak_B = self._peak(enlarge(map_Bgg.double().sigmoid(), self.clip.image_size))
        return Scored(torch.stack([*_probabilities(images), peak_B]).mean(0), map_Bgg)

    def _few_shot(self, features: ImageFeatures) -> Scored:
        """The mean of three adapters, and its harmonic mean with the distance to the memory or the map's peak."""
        memory = [[own_MD] * len(features.cls) for own_MD in self.memory]
        distances, views = zip(*self.compared(features, memory), strict=True)
        layers = (torch.stack(_probabilities(values)).mean(0) for values in zip(*views, strict=True))
        (image_B, compared_Bhw), both = layers, (self.visual(features), self.textual(features))
        images, maps = (_probabilities(values) for values in zip(*both, strict=True))
        maps = [*maps, compared_Bhw]
        full_BSS, side = _fused(maps, distances, self.clip.image_size), self.map_grid[0]
        score_B = harmonic_mean(torch.stack([torch.stack([*images, image_B]).mean(0), self._peak(full_BSS)]))
        stored = full_BSS if side == self.clip.image_size else _fused(maps, distances, side)
        return Scored(score_B, torch.logit(stored, eps=TINY))

    def _peak(self, full_BSS: Tensor) -> Tensor:
        return peak(full_BSS, self.config.sigma * self.clip.image_size / PAPER_SIDE).clamp(0, 1)


def _probabilities(logits: Iterable[Tensor]) -> list[Tensor]:
    """Float64."""
    return [values.double().sigmoid() for values in logits]


def _fused(maps: Sequence[Tensor], distances: Sequence[Tensor], side: int) -> Tensor:
    """Map [B, side, side] in [0, 1]: the harmonic mean of the adapters' mean and of the layers' distances."""
    mean = torch.stack([enlarge(own, side) for own in maps]).mean(0)
    distance = harmonic_mean(torch.stack([enlarge(own, side) for own in distances]))
    return harmonic_mean(torch.stack([mean, distance])).clamp(0, 1)  # a distance is at most 2


def _image_loss(image_B: Tensor, batch: Batch) -> Tensor:
    return F.binary_cross_entropy_with_logits(image_B, batch.labels.float())


def _map_loss(map_Bhw: Tensor, batch: Batch) -> Tensor:
    """On probabilities that are enlarged to the masks' size."""
    size = batch.masks.shape[-2:]
    return segmentation_loss(F.interpolate(map_Bhw.sigmoid()[:, None], size=size, mode="bilinear")[:, 0], batch.masks)
