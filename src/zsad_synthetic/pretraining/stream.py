"""An endless, reproducible stream of training batches.

Every scene comes as two views that differ in nothing but the defect, so that no material or object tells the state.
Rendering costs more than an augmented view, so pictures live in a pool: each step renders a few new scenes, drops the
oldest and draws its batch of views from all of them. Scene i and batch t depend on (seed, i) and (seed, t) alone.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from zsad_synthetic.pretraining import tokens
from zsad_synthetic.pretraining.world import (
    FAMILIES,
    HELD_OUT,
    KINDS,
    Caption,
    Scene,
    defect_list,
    describe,
    render,
    state_pair,
)
from zsad_synthetic.pretraining.world.fields import Rng
from zsad_synthetic.pretraining.world.imaging import expose

_RENDER, _BATCH, _ALBUM = 0, 1, 2
_LEAST_SHARE, _COVERED = 0.3, 50
OPEN = -1
"""Kind or family of a caption that leaves it open."""


@dataclass(frozen=True)
class StreamConfig:
    """How much is drawn, how often a rendered picture is seen, and how large: small pictures first, they cost less."""

    scenes: int = 32
    pairs: int = 16
    pool: int = 768
    renders: int = 10
    kinds: tuple[str, ...] = tuple(k for k in KINDS if k not in HELD_OUT)
    side: int = 112
    early_side: int = 72
    early_steps: int = 0
    patch: int = 8


class Claims(NamedTuple):
    """What pictures show or texts say, as numbers [N]."""

    anomalous: NDArray[np.bool_]
    kind: NDArray[np.int64]
    family: NDArray[np.int64]


class Batch(NamedTuple):
    """One step's worth of data."""

    pixels: NDArray[np.uint8]
    """[B, H, W, 3]; a normal and an anomalous view of each scene in turn."""
    defect: NDArray[np.float32]
    """[B, N] share of each patch that is defective."""
    shown: Claims
    told: Claims
    """Claims of the B captions, one per picture."""
    texts: tokens.Encoded
    """B captions, then P normal and P anomalous ones of state pairs, then a normal one and one for each family."""


class View(NamedTuple):
    """A picture as the model sees it."""

    picture: NDArray[np.uint8]
    """[H, W, 3]."""
    mask: NDArray[np.bool_]
    """[H, W], empty for a normal picture."""
    kind: str
    family: str | None


class Stream(IterableDataset):
    """Batches first, first + 1, ... of a seed."""

    def __init__(self, config: StreamConfig, seed: int, first: int = 0) -> None:
        self.config, self.seed, self.first = config, seed, first

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        start = self.first * self.config.renders
        pool = deque((self._render(start + i) for i in range(self.config.pool)), maxlen=self.config.pool)
        step = self.first
        while True:
            yield self._batch(step, pool)
            newest = step * self.config.renders + self.config.pool
            pool.extend(self._render(newest + i) for i in range(self.config.renders))
            step += 1

    def _render(self, index: int) -> Scene:
        return render(np.random.default_rng((self.seed, _RENDER, index)), self.config.kinds)

    def _batch(self, step: int, pool: deque[Scene]) -> Batch:
        rng = np.random.default_rng((self.seed, _BATCH, step))
        side = self.config.early_side if step < self.config.early_steps else self.config.side
        chosen = rng.choice(len(pool), self.config.scenes, replace=self.config.scenes > len(pool))
        seen = [twin for i in chosen for twin in views(rng, pool[i], side)]
        captions = [describe(rng, v.kind, v.family) for v in seen]
        normal, anomalous = zip(*(state_pair(rng) for _ in range(self.config.pairs)), strict=True)
        return Batch(
            np.stack([v.picture for v in seen]),
            np.stack([patch_shares(v.mask, self.config.patch) for v in seen]),
            _claims([Caption("", v.family is not None, v.kind, v.family) for v in seen]),
            _claims(captions),
            tokens.encode([c.text for c in (*captions, *normal, *anomalous, *defect_list(rng))]),
        )


class Album(IterableDataset):
    """Pages of new scenes, each in four views of which two show the defect; page i depends on (seed, i) alone."""

    def __init__(self, config: StreamConfig, seed: int, scenes: int = 16) -> None:
        self.config, self.seed, self.scenes = config, seed, scenes

    def __iter__(self) -> Iterator[list[View]]:
        cv2.setNumThreads(1)
        for page in count():
            rng = np.random.default_rng((self.seed, _ALBUM, page))
            scenes = (render(rng, self.config.kinds) for _ in range(self.scenes))
            yield [view for scene in scenes for _ in range(2) for view in views(rng, scene, self.config.side)]


def views(rng: Rng, scene: Scene, side: int) -> tuple[View, View]:
    """A random crop, turn and exposure of a scene, without and with its defect."""
    window = _window(rng, scene.mask)
    turn, flip = int(rng.integers(4)) if rng.random() < 0.5 else 0, rng.random() < 0.5
    exposure = int(rng.integers(2**31))

    def seen(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        turned = np.rot90(picture[window][:, :: -1 if flip else 1], turn)
        small = cv2.resize(np.ascontiguousarray(turned), (side, side), interpolation=cv2.INTER_AREA)
        return small.astype(np.uint8)

    normal, anomalous = (expose(np.random.default_rng(exposure), seen(p)) for p in (scene.normal, scene.anomalous))
    mask = seen(scene.mask.astype(np.uint8) * 255) > _COVERED
    return View(normal, np.zeros_like(mask), scene.kind, None), View(anomalous, mask, scene.kind, scene.family)


def _window(rng: Rng, mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The whole picture, or a part that still holds a good share of the defect."""
    size, area = len(mask), mask.sum()
    for _ in range(4):
        if rng.random() < 0.35:
            break
        zoom, aspect = rng.uniform(0.4, 1), rng.uniform(0.8, 1.25)
        height, width = (int(min(size, size * zoom * f)) for f in (aspect**0.5, aspect**-0.5))
        top, left = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))
        window = (slice(top, top + height), slice(left, left + width))
        if mask[window].sum() >= _LEAST_SHARE * area:
            return window
    return slice(0, size), slice(0, size)


def patch_shares(mask: NDArray[np.bool_], patch: int) -> NDArray[np.float32]:
    """[N] share of each patch's pixels that the mask covers, row by row."""
    rows, columns = mask.shape[0] // patch, mask.shape[1] // patch
    blocks = mask[: rows * patch, : columns * patch].reshape(rows, patch, columns, patch)
    return blocks.mean((1, 3), dtype=np.float32).reshape(-1)


def _claims(captions: list[Caption]) -> Claims:
    return Claims(
        np.array([c.anomalous for c in captions]),
        np.array([OPEN if c.kind is None else KINDS.index(c.kind) for c in captions]),
        np.array([OPEN if c.family is None else FAMILIES.index(c.family) for c in captions]),
    )
