"""Going on through frozen blocks from where a method changes something inside a tower.

What lies in front of the first change is frozen. So a method that adapts the tower reads that state as a feature
(`FeatureSpec.entry`), which is computed once and cached like any other, and runs the rest by itself: with gradients for
what it adds, and none for CLIP.
Shapes: B batch, T tokens, C width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from zsad.clip.attention import Block, attend
from zsad.common.errors import UserError

Change = Callable[[int, Tensor], Tensor]  # (index of a block from 0, tokens [B, T, C]) → tokens
Attention = Callable[[int, Block, Tensor], Tensor]  # (index, block, tokens) → what its attention adds, [B, T, C]


HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}  # what products are computed in; sums and norms stay float32


def unchanged(index: int, x_BTC: Tensor) -> Tensor:
    """Insert nothing."""
    return x_BTC


def self_attention(index: int, block: Block, x_BTC: Tensor) -> Tensor:
    """The block's own attention over all tokens."""
    return block.project(attend(*block.qkv(x_BTC)))


def run_blocks(
    blocks: Sequence[Block],
    x_BTC: Tensor,
    start: int = 0,
    before: Change = unchanged,
    after: Change = unchanged,
    attention: Attention = self_attention,
) -> Iterator[Tensor]:
    """What each block from index `start` on gives, one after the other; `x`: what enters the first of them.

    `before` and `after` change the tokens on entry and on exit of a block; what is yielded is changed by `after`.
    """
    for index in range(start, len(blocks)):
        block, x_BTC = blocks[index], before(index, x_BTC)
        x_BTC = after(index, block.finish(x_BTC, attention(index, block, x_BTC)))
        yield x_BTC


def computing_in(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Run a tower in `fp32` as it is, in `bf16` or `fp16` under autocast; UserError for `fp16` without a GPU."""
    if precision == "fp16" and device.type == "cpu":
        raise UserError("precision fp16: wants a CUDA GPU; on a CPU use bf16 or fp32 (`precision` of params.yaml)")
    return torch.autocast(device.type, HALVES[precision]) if precision in HALVES else nullcontext()
