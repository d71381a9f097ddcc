"""Prompts that share beginnings, each shared token run once: a tree of tokens through the frozen text tower.

The tower is causal, so a token's states depend on the tokens before it alone. All branches stand in one sequence, and a
mask lets each token see its ancestors and itself. Shapes: P sets of learned vectors, S prompts, N nodes, C text width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.text import TextTower


@dataclass(frozen=True)
class TokenTree:
    """Nodes in an order in which parents precede children.

    symbols [N]: token id, or −1 − i for learned vector i; depths [N]: position in the prompt; ends [S]: last node of
    each prompt; visible [N, N]: whether the row's node sees the column's.
    """

    symbols: Tensor
    depths: Tensor
    ends: Tensor
    visible: Tensor


def grow_tree(prompts: Sequence[Sequence[int]], device: torch.device) -> TokenTree:
    """The tree of prompts given as symbols, SOT to EOT."""
    nodes: dict[tuple[int, int], int] = {}  # (parent, symbol) → node, in order of creation
    ends = []
    for prompt in prompts:
        node = -1
        for symbol in prompt:
            node = nodes.setdefault((node, symbol), len(nodes))
        ends.append(node)
    visible = torch.eye(len(nodes), dtype=torch.bool)
    for (parent, _), node in nodes.items():
        if parent >= 0:
            visible[node] |= visible[parent]
    symbols = torch.tensor([symbol for _, symbol in nodes])
    return TokenTree(*(part.to(device) for part in (symbols, visible.sum(1) - 1, torch.tensor(ends), visible)))


def encode_tree(text: TextTower, tree: TokenTree, learned_PRC: Tensor, deep: Sequence[Tensor] = ()) -> Tensor:
    """Text features [P, S, D] of every prompt with every set of R learned vectors, not normalised.

    deep: vectors [P, m, C] that overwrite positions 1..m on entry of blocks 1, 2, … (counted from 0), for each set.
    """
    fixed_NC = text.token_embedding[tree.symbols.clamp(min=0)].expand(len(learned_PRC), -1, -1)
    slots_N = (-1 - tree.symbols).clamp(min=0)
    x = torch.where((tree.symbols < 0)[:, None], learned_PRC[:, slots_N], fixed_NC)
    x = x + text.positional_embedding[tree.depths]
    visible = tree.visible
    for i, block in enumerate(text.blocks):
        if 1 <= i <= len(deep):
            place_N = (tree.depths - 1).clamp(0, deep[i - 1].shape[1] - 1)
            x = torch.where((tree.depths == place_N + 1)[:, None], deep[i - 1][:, place_N], x)
        q, k, v = block.qkv(x)
        if i + 1 == len(text.blocks):  # only the ends are read
            q, x, visible = q[:, :, tree.ends], x[:, tree.ends], visible[tree.ends]
        x = block.finish(x, block.project(F.scaled_dot_product_attention(q, k, v, attn_mask=visible)))
    return text.pool(x)
