"""What APT learns from: frozen features of clean and synthetic pictures, and the losses on them.

Part of the method in `__init__`. With two prompts every softmax depends on the difference of their
features alone, so all logits of a view are one product with that direction. Map and image share a tensor of tokens.
Shapes: V views, N = g·g patches, D joint width, s side of masks, S image side.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.learners.apt.anomalies import Family, Mask, Pool, make_pool
from zsad.learners.shared.losses import dice_loss, focal_loss

ENCODED = 16  # pictures whose features are held at a time, before they are normalised


@dataclass(frozen=True)
class Views:
    """tokens [V, N+1, D]: unit features of the patches, then of the image; masks [V, s, s], 1 where anomalous."""

    tokens: Tensor
    masks: Tensor

    def maps(self, odds: Tensor) -> Tensor:
        """Log-odds [V, s, s] of the pixels, from those of the tokens [V, N+1]."""
        return enlarge(odds[:, :-1], self.masks.shape[-1])


@dataclass(frozen=True)
class Maker:
    """Makes synthetic views of the support: pictures [k, 3, S, S] in [0, 1], what is object in each, its tokens.

    encode: pictures → tokens; side: of the masks in the loss; noise: deviation of feature noise, None = pixel noise.
    """

    pictures: Tensor
    objects: Sequence[Mask]
    clean: Tensor
    encode: Callable[[Tensor], Tensor]
    side: int
    noise: float | None = None

    def make(self, count: int, families: Sequence[Family], seed: int) -> tuple[Views, Counter[str]]:
        """`count` views of each support picture, and how often each shape and family was drawn."""
        made, used = [], Counter[str]()
        for shot in range(len(self.pictures)):
            rng = np.random.default_rng([seed, shot])
            picture = np.ascontiguousarray(self.pictures[shot].permute(1, 2, 0).numpy())
            pool = make_pool(picture, self.objects[shot], count, families, rng)
            made.append(self._tokens(shot, pool, rng))
            used += pool.used
        tokens, masks = (torch.cat(parts) for parts in zip(*made, strict=True))
        return Views(tokens, masks), used

    def _tokens(self, shot: int, pool: Pool, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        masks = torch.from_numpy(pool.masks).float()[:, None]
        device = self.clean.device
        target = F.adaptive_avg_pool2d(masks, self.side)[:, 0].to(device)
        if self.noise is None:
            pictures = torch.from_numpy(pool.pictures).permute(0, 3, 1, 2)
            return torch.cat([self.encode(part) for part in pictures.split(ENCODED)]), target
        grid = round((self.clean.shape[1] - 1) ** 0.5)
        touched = F.pad(F.adaptive_max_pool2d(masks, grid).flatten(1), (0, 1), value=1.0)  # the image is anomalous too
        drawn = torch.from_numpy(rng.standard_normal((len(masks), *self.clean.shape[1:]), dtype=np.float32))
        noise = self.noise * touched[..., None] * drawn
        return F.normalize(self.clean[shot] + noise.to(device), dim=-1), target


def logits(tokens: Tensor, text_2D: Tensor, scale: float) -> Tensor:
    """Log-odds of abnormal [V, N+1] under two unit prompts, normal first; `scale`: inverse temperature."""
    return tokens @ (scale * (text_2D[1] - text_2D[0]))


def enlarge(logits_VN: Tensor, side: int) -> Tensor:
    """[V, N] → [V, side, side], bilinear, corners not aligned."""
    grid = round(logits_VN.shape[1] ** 0.5)
    maps = logits_VN.reshape(-1, 1, grid, grid)
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)[:, 0]


def synthetic_loss(odds: Tensor, made: Views, clean: int) -> tuple[Tensor, Tensor]:
    """(L_seg, L_cls): focal and, on synthetic views, Dice; cross entropy. `odds` [clean + V, N+1], clean ones first.

    Each is the mean of two means, over clean and over synthetic views.
    """
    maps, image = made.maps(odds).sigmoid(), odds[:, -1]
    normal = focal_loss(maps[:clean], torch.zeros_like(maps[:clean]))
    anomalous = focal_loss(maps[clean:], made.masks) + dice_loss(maps[clean:], made.masks)
    entropies = F.softplus(image[:clean]).mean() + F.softplus(-image[clean:]).mean()
    return (normal + anomalous) / 2, entropies / 2


def meta_loss(odds: Tensor, teacher: Tensor, clean: int) -> Tensor:
    """Mean over tokens of KL(teacher ‖ learned), two classes, from log-odds [V, N+1]; means as in `synthetic_loss`.

    As a difference of cross entropies it is exactly zero, and so is its gradient, where both agree.
    """
    target = teacher.sigmoid()
    cross = F.binary_cross_entropy_with_logits(odds, target, reduction="none")
    own = F.binary_cross_entropy_with_logits(teacher, target, reduction="none")
    divergence = cross - own
    return (divergence[:clean].mean() + divergence[clean:].mean()) / 2
