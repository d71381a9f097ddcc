"""A second stream of the image tower whose patches attend only to near patches (locality-aware attention).

From one block on, patch tokens go through the ordinary frozen blocks, but each attends to the (2r+1) × (2r+1) patches
around it and not to the class token; what a token says then stays where it stands. Idea: Chen et al., arXiv 2406.18197;
window, first block and the missing class token are a reconstruction (docs/methods/apt.md).
Shapes: B batch, g grid side, N = g·g patches, C width, h heads, d head width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.attention import Block

BAND = 4  # rows of patches attended together: keys far above and below them are not even computed


@dataclass(frozen=True)
class Locality:
    """Which stream. `start`: first block (from 0) that it runs through; the number of blocks = the main stream's end.

    `radius`: in patches, None = all patches; `keep_cls`: the class token stays, attends to all and is attended by all.
    Without a radius and with the class token it is the main stream, wherever it starts.
    """

    start: int
    radius: int | None
    keep_cls: bool = False


def local_patches(blocks: Sequence[Block], entry: Tensor, locality: Locality) -> Tensor:
    """Patch tokens [B, N, C] after the last block; `entry` [B, 1+N, C]: the main stream before block `start`."""
    x = entry if locality.keep_cls else entry[:, 1:]
    grid = round((entry.shape[1] - 1) ** 0.5)
    allowed = neighbours(grid, locality.radius, locality.keep_cls).to(x.device)
    for block in blocks[locality.start :]:
        x = block.finish(x, block.project(attend_near(*block.qkv(x), allowed, locality)))
    return x[:, 1:] if locality.keep_cls else x


def attend_near(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, locality: Locality) -> Tensor:
    """softmax(q kᵀ/√d + m) v with m = 0 where `allowed` [T, T], −∞ elsewhere: [B, h, T, d]."""
    radius, grid = locality.radius, round(q.shape[2] ** 0.5)
    if locality.keep_cls or radius is None or radius >= grid - 1:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    bands = []
    for top in range(0, grid, BAND):
        rows = slice(top * grid, min(top + BAND, grid) * grid)
        near = slice(max(top - radius, 0) * grid, min(top + BAND + radius, grid) * grid)
        bands.append(
            F.scaled_dot_product_attention(q[:, :, rows], k[:, :, near], v[:, :, near], attn_mask=allowed[rows, near])
        )
    return torch.cat(bands, dim=2)


@lru_cache(maxsize=8)
def neighbours(grid: int, radius: int | None, keep_cls: bool = False) -> Tensor:
    """Which token may attend to which, bool [T, T]: patches at most `radius` rows and columns apart; CLS with all."""
    row, column = torch.arange(grid * grid) // grid, torch.arange(grid * grid) % grid
    distance = torch.maximum((row[:, None] - row).abs(), (column[:, None] - column).abs())
    near = distance <= (grid if radius is None else radius)
    return F.pad(near, (1, 0, 1, 0), value=True) if keep_cls else near
