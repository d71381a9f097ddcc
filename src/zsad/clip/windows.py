"""Sliding windows of patches through a frozen image tower (WinCLIP, CVPR 2023, arXiv 2303.14814).

A window is the class token and the tokens of k × k neighbouring patches, at their own positions, alone in all blocks.
They are 5 or 10 tokens long but hundreds an image, so all windows of all images form one batch. Two exact savings:
queries, keys and values of the first block are those of the whole image, hence computed once; and of the last block
only the class token is wanted. Shapes: B images, L = 1+N tokens, C width, W = (g-k+1)² windows, T = 1+k² tokens each.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.attention import Block, attend

CPU_TOKENS, GPU_TOKENS = 2048, 65536  # in one pass: activations fit a core's cache; they fill a GPU, in bounded memory


def window_patches(grid: int, scale: int, device: torch.device | None = None) -> Tensor:
    """Patch indices [W, k²] of each window of `scale` × `scale` patches, stride 1; windows and patches row-major."""
    patches = torch.arange(grid * grid, device=device).view(grid, grid)
    return patches.unfold(0, scale, 1).unfold(1, scale, 1).reshape(-1, scale * scale)


def window_classes(blocks: Sequence[Block], h_BLC: Tensor, scale: int) -> Tensor:
    """Class tokens [B, W, C] of all windows after the last block; `h_BLC`: the image's tokens on entry of the first."""
    B, L, _ = h_BLC.shape
    patches = window_patches(round((L - 1) ** 0.5), scale, h_BLC.device)
    members = F.pad(patches + 1, (1, 0))  # [W, T]; 0 = class token
    rows = (members + L * torch.arange(B, device=h_BLC.device)[:, None, None]).flatten(0, 1)
    of_image = [h_BLC.flatten(0, 1), *(part.transpose(1, 2).flatten(0, 1) for part in blocks[0].qkv(h_BLC))]
    tokens = CPU_TOKENS if h_BLC.device.type == "cpu" else GPU_TOKENS
    # A graph whose batch has no fixed size cannot tell how many chunks there are: it takes all windows at once.
    chunks = [rows] if torch.compiler.is_exporting() else rows.split(max(1, tokens // rows.shape[1]))
    return torch.cat([_class_tokens(blocks, *(part[chunk] for part in of_image)) for chunk in chunks]).unflatten(
        0, (B, -1)
    )


def _class_tokens(blocks: Sequence[Block], x_nTC: Tensor, q_nThd: Tensor, k_nThd: Tensor, v_nThd: Tensor) -> Tensor:
    """Class tokens [n, C] after the last block, from entry, queries, keys and values of the first."""
    q, k, v = (part.transpose(1, 2) for part in (q_nThd, k_nThd, v_nThd))
    for i, block in enumerate(blocks):
        if i > 0:
            q, k, v = block.qkv(x_nTC)
        if i == len(blocks) - 1:
            x_nTC, q = x_nTC[:, :1], q[:, :, :1]
        x_nTC = block.finish(x_nTC, block.project(attend(q, k, v)))
    return x_nTC[:, 0]


def mean_over_windows(values_BW: Tensor, scale: int) -> Tensor:
    """[B, W] → [B, g, g]: of each patch, the mean over the windows that cover it (1 in a corner, up to k² inside).

    A box filter over the windows' own grid: the covering matrix, without its zeros, so that inf·0 cannot arise.
    """
    side = round(values_BW.shape[-1] ** 0.5)
    windows = values_BW.unflatten(-1, (side, side))

    def covering(image: Tensor) -> Tensor:
        padded = F.pad(image, (scale - 1,) * 4)
        return F.avg_pool2d(padded[:, None], scale, stride=1, divisor_override=1)[:, 0]

    return covering(windows) / covering(torch.ones_like(windows[:1]))
