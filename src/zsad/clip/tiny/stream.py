"""An endless, reproducible stream of training batches.

Rendering costs more than an augmented view, so pictures live in a pool: each step renders a few new ones, drops the
oldest and draws its batch of views from all of them. Picture i and batch t depend on (seed, i) and (seed, t) alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from . import tokens
from .world import FAMILIES, HELD_OUT, KINDS, Caption, Sample, describe, render, state_pair
from .world.fields import Rng
from .world.imaging import expose

_RENDER, _BATCH = 0, 1
_LEAST_SHARE = 0.3
OPEN = -1
"""Kind or family of a caption that leaves it open."""


@dataclass(frozen=True)
class StreamConfig:
    """How much is drawn, how often a rendered picture is seen, and how large: small pictures first, they cost less."""

    batch: int = 64
    pairs: int = 16
    pool: int = 1024
    renders: int = 12
    anomalous: float = 0.6
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
    """[B, H, W, 3]."""
    defect: NDArray[np.float32]
    """[B, N] share of each patch that is defective."""
    shown: Claims
    told: Claims
    """Claims of the B captions, one per picture."""
    texts: tokens.Encoded
    """B captions, then P normal and P anomalous ones of state pairs."""


class View(NamedTuple):
    """A picture as the model sees it."""

    picture: NDArray[np.uint8]
    mask: NDArray[np.bool_]
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

    def _render(self, index: int) -> Sample:
        rng = np.random.default_rng((self.seed, _RENDER, index))
        return render(rng, bool(rng.random() < self.config.anomalous), list(self.config.kinds))

    def _batch(self, step: int, pool: deque[Sample]) -> Batch:
        rng = np.random.default_rng((self.seed, _BATCH, step))
        side = self.config.early_side if step < self.config.early_steps else self.config.side
        chosen = rng.choice(len(pool), self.config.batch, replace=self.config.batch > len(pool))
        views = [view(rng, pool[i], side) for i in chosen]
        captions = [describe(rng, v.kind, v.family) for v in views]
        normal, anomalous = zip(*(state_pair(rng) for _ in range(self.config.pairs)), strict=True)
        return Batch(
            np.stack([v.picture for v in views]),
            np.stack([patch_shares(v.mask, self.config.patch) for v in views]),
            _claims([Caption("", v.family is not None, v.kind, v.family) for v in views]),
            _claims(captions),
            tokens.encode([c.text for c in (*captions, *normal, *anomalous)]),
        )


def view(rng: Rng, sample: Sample, side: int) -> View:
    """A random crop, flip and exposure of a sample; a crop that misses the defect shows a normal picture."""
    picture, mask = _crop(rng, sample)
    turn, flip = int(rng.integers(4)) if rng.random() < 0.5 else 0, rng.random() < 0.5
    turned, turned_mask = (np.rot90(a[:, ::-1] if flip else a, turn) for a in (picture, mask.astype(np.float32)))
    seen = cv2.resize(np.ascontiguousarray(turned), (side, side), interpolation=cv2.INTER_AREA)
    defect = cv2.resize(np.ascontiguousarray(turned_mask), (side, side), interpolation=cv2.INTER_AREA) > 0.25
    return View(expose(rng, seen.astype(np.uint8)), defect, sample.kind, sample.family if defect.any() else None)


def _crop(rng: Rng, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    size, area = len(sample.mask), sample.mask.sum()
    for _ in range(4):
        if rng.random() < 0.4:
            break
        zoom, aspect = rng.uniform(0.45, 1), rng.uniform(0.8, 1.25)
        height, width = (int(min(size, size * zoom * f)) for f in (aspect**0.5, aspect**-0.5))
        top, left = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))
        window = (slice(top, top + height), slice(left, left + width))
        left_over = sample.mask[window].sum()
        if left_over == 0 or left_over >= _LEAST_SHARE * area:
            return sample.picture[window], sample.mask[window]
    return sample.picture, sample.mask


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
