"""Self-attention of one frozen CLIP block, and the value-value attention that prompt learners read patches from.

Shapes: B batch, L tokens, C width, h heads, d = C/h head width. All functions are pure.
"""

import copy
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Block:
    """The frozen parts of one pre-LN transformer block; `in_proj` rows are query, key, value."""

    ln_1: nn.Module
    ln_2: nn.Module
    mlp: nn.Module
    in_proj_weight: Tensor  # [3C, C]
    in_proj_bias: Tensor  # [3C]
    out_proj: nn.Module
    heads: int

    def rounded(self, dtype: torch.dtype) -> "Block":
        """The same with its matrices in `dtype`; the norms stay as they are."""
        return replace(
            self,
            mlp=copy.deepcopy(self.mlp).to(dtype),
            in_proj_weight=self.in_proj_weight.to(dtype),
            in_proj_bias=self.in_proj_bias.to(dtype),
            out_proj=copy.deepcopy(self.out_proj).to(dtype),
        )

    def qkv(self, x_BLC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key, value of the normalised input, each [B, h, L, d]."""
        B, L, C = x_BLC.shape
        qkv = F.linear(self.ln_1(x_BLC), self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(B, L, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        return q, k, v

    def project(self, heads_BhLd: Tensor) -> Tensor:
        """Concatenate the heads and apply the output projection: [B, L, C]."""
        return self.out_proj(heads_BhLd.transpose(1, 2).flatten(2))

    def finish(self, x_BLC: Tensor, attended_BLC: Tensor) -> Tensor:
        """The two residual additions of the block, after attention."""
        return self.feed(x_BLC + attended_BLC)

    def feed(self, x_BLC: Tensor) -> Tensor:
        """The second of them, of what the MLP gives."""
        return x_BLC + self.mlp(self.ln_2(x_BLC))


def attend(q: Tensor, k: Tensor, v: Tensor, causal_from: int | None = None) -> Tensor:
    """softmax(q kᵀ/√d) v. `causal_from` = number of keys before the first query; None attends to everything.

    q [B, h, L, d]; k, v [B, h, M, d] with M = causal_from + L when causal.
    """
    if causal_from is None:
        return F.scaled_dot_product_attention(q, k, v)
    if causal_from == 0:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    allowed = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(causal_from)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


def value_value(block: Block, v: Tensor) -> Tensor:
    """W_o · heads[softmax(V Vᵀ/√d) V] + b_o, the DPAM term of AnomalyCLIP (arXiv 2310.18961): [B, L, C]."""
    return block.project(attend(v, v, v))
