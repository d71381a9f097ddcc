"""Attention of a frozen block against literal loops over heads and tokens."""

import pytest
import torch

from zsad.clip.attention import attend, value_value


def literal_attention(q, k, v, first_query=None):
    """softmax(q kᵀ/√d) v of one head, token by token; query i sees keys 0 … first_query + i."""
    rows = []
    for i, query in enumerate(q):
        seen = len(k) if first_query is None else first_query + i + 1
        weights = torch.stack([query @ key for key in k[:seen]]).div(len(query) ** 0.5).softmax(0)
        rows.append(sum(w * value for w, value in zip(weights, v, strict=False)))
    return torch.stack(rows)


@pytest.mark.parametrize("past", [None, 0, 3])
def test_attention_equals_literal_loop(past):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 2, 4, 8), torch.randn(2, 2, 4 + (past or 0), 8), torch.randn(2, 2, 4 + (past or 0), 8)
    got = attend(q, k, v, causal_from=past)
    for b in range(2):
        for h in range(2):
            wanted = literal_attention(q[b, h], k[b, h], v[b, h], past)
            torch.testing.assert_close(got[b, h], wanted, rtol=0, atol=1e-6)


@torch.no_grad()
def test_value_value_attention_equals_literal_loop(clip):
    torch.manual_seed(0)
    block = clip.image.blocks[2]
    x = torch.randn(2, 5, 128)
    W, b = block.in_proj_weight[256:], block.in_proj_bias[256:]  # the last third of in_proj is the value projection
    for i, got in enumerate(value_value(block, block.qkv(x)[2])):
        value = block.ln_1(x[i]) @ W.T + b
        heads = [literal_attention(value[:, h], value[:, h], value[:, h]) for h in (slice(0, 64), slice(64, 128))]
        wanted = torch.cat(heads, dim=1) @ block.out_proj.weight.T + block.out_proj.bias
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
