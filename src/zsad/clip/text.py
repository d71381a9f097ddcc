"""The frozen text tower, fed with embeddings: exact truncation at EOT, shared prefixes, deep tokens.

The tower is causal, so positions after EOT change nothing and are never computed, and a prefix that several prompts
share is run once: its keys and values are kept and repeated.
Shapes: S sequences, T tokens, C text width, D joint width, n deep-token sets of length m.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.clip.adaptation import Change, unchanged
from zsad.clip.attention import Block, attend
from zsad.common.errors import UserError

SOT, EOT = 49406, 49407


@dataclass(frozen=True)
class Prefix:
    """Keys and values [S, h, T, d] of every block for tokens already run."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @property
    def length(self) -> int:
        return self.keys[0].shape[2]

    def repeat(self, times: int = 1, each: int = 1) -> "Prefix":
        """All sequences in a row, `times` times, and each of them `each` times: times · S · each sequences."""

        def expand(x_ShTd: Tensor) -> Tensor:
            return x_ShTd[None, :, None].expand(times, -1, each, -1, -1, -1).flatten(0, 2)

        return Prefix(tuple(map(expand, self.keys)), tuple(map(expand, self.values)))


@dataclass(frozen=True)
class DeepTokens:
    """Learned tokens that overwrite positions 1..m on entry of blocks 1..n (0-based; block 0 is untouched).

    `tokens`: n tensors [m, C]. `fp16`: round them through half precision on insertion, as the official codes do.
    """

    tokens: Sequence[Tensor]
    fp16: bool = True

    def insert(self, x_STC: Tensor, block: int) -> Tensor:
        if not 1 <= block <= len(self.tokens):
            return x_STC
        tokens = self.tokens[block - 1]
        if self.fp16:
            tokens = tokens.half().to(x_STC.dtype)
        m = tokens.shape[0]
        return torch.cat([x_STC[:, :1], tokens.expand(x_STC.shape[0], -1, -1), x_STC[:, 1 + m :]], dim=1)


@dataclass(frozen=True)
class TextTower:
    """Frozen text side of CLIP. All prompts are given as token embeddings, without positions."""

    blocks: tuple[Block, ...]
    token_embedding: Tensor  # [V, C]
    positional_embedding: Tensor  # [77, C]
    ln_final: nn.Module
    projection: Tensor  # [C, D]

    @property
    def width(self) -> int:
        return self.token_embedding.shape[1]

    def ids(self, text: str) -> list[int]:
        """Token ids of `text` between SOT and EOT, both included."""
        return list(_token_ids(text))

    def _all_ids(self, text: str) -> list[int]:
        """As `ids`, however long: of a text that is cut short, `ids` ends with EOT as well."""
        from open_clip import tokenize

        ids = tokenize([text], context_length=2 + 4 * len(text))[0].tolist()  # a character is 4 bytes at most
        return ids[: ids.index(EOT) + 1]

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Token embeddings [T, C]."""
        return self.token_embedding[torch.as_tensor(ids, device=self.token_embedding.device)]

    def prefix(self, embeddings_STC: Tensor, past: Prefix | None = None, deep: DeepTokens | None = None) -> Prefix:
        """Run tokens that follow `past`, for what follows them: keys and values of all tokens.

        Deep tokens lie in positions 1..m, hence must be given where those positions are run: in the first segment.
        """
        return self._run(embeddings_STC, past, deep)[1]

    def _run(
        self, embeddings_STC: Tensor, past: Prefix | None, deep: DeepTokens | None, after: Change = unchanged
    ) -> tuple[Tensor, Prefix, Tensor]:
        """(entry of the last block [S, T, C], keys and values of every block, queries of the last block)."""
        start = past.length if past else 0
        x = embeddings_STC + self.positional_embedding[start : start + embeddings_STC.shape[1]]
        keys, values = [], []
        for i, block in enumerate(self.blocks):
            if deep is not None and past is None:
                x = deep.insert(x, i)
            q, k, v = block.qkv(x)
            if past is not None:
                k, v = torch.cat([past.keys[i], k], dim=2), torch.cat([past.values[i], v], dim=2)
            keys.append(k)
            values.append(v)
            if i + 1 < len(self.blocks):
                x = after(i, block.finish(x, block.project(attend(q, k, v, causal_from=start))))
        return x, Prefix(tuple(keys), tuple(values)), q

    def pool(self, hidden_SC: Tensor) -> Tensor:
        """Text feature [S, D] of the hidden state at EOT, not normalised."""
        return self.ln_final(hidden_SC) @ self.projection

    def encode(
        self,
        embeddings_STC: Tensor,
        eot: Tensor | int = -1,
        deep: DeepTokens | None = None,
        past: Prefix | None = None,
    ) -> Tensor:
        """Text features [S, D] of prompts, not normalised; these tokens follow `past`, when given.

        `eot`: position of EOT among these tokens, per sequence (default: the last).
        """
        return self.pool(self.hidden(embeddings_STC, eot, deep, past))

    def hidden(
        self,
        embeddings_STC: Tensor,
        eot: Tensor | int = -1,
        deep: DeepTokens | None = None,
        past: Prefix | None = None,
        after: Change = unchanged,
    ) -> Tensor:
        """What the last block gives at EOT [S, C]; arguments as of `encode`.

        It alone is read, so in the last block no other position is finished. `after` changes the tokens on exit of
        every block but the last.
        """
        if isinstance(eot, int):
            embeddings_STC = embeddings_STC[:, : eot + 1 or None]  # nothing after EOT is seen
        x, seen, q = self._run(embeddings_STC, past, deep, after)
        keys, values, block = seen.keys[-1], seen.values[-1], self.blocks[-1]
        if isinstance(eot, int):
            q_ShLd, x_SLC, visible = q[:, :, -1:], x[:, -1:], None
        else:
            rows = torch.arange(x.shape[0], device=x.device)
            q_ShLd, x_SLC = q[rows, :, eot, None], x[rows, eot, None]
            last = eot[:, None] + seen.length - x.shape[1]  # each sequence sees the tokens up to its own EOT
            visible = (torch.arange(seen.length, device=x.device) <= last)[:, None, None]
        attended = F.scaled_dot_product_attention(q_ShLd, keys, values, attn_mask=visible)
        return block.finish(x_SLC, block.project(attended))[:, 0]

    def encode_strings(self, texts: Sequence[str]) -> Tensor:
        """Text features [S, D] of plain strings."""
        return self.encode(*self.embed_strings(texts))

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each string, SOT to EOT; UserError for one that is too long."""
        rows = [self.ids(text) for text in texts]
        for text, row in zip(texts, rows, strict=True):
            if len(row) == len(self.positional_embedding) and row != self._all_ids(text):
                raise UserError(
                    f"prompt {text!r}: longer than the {len(row)} tokens that the text tower takes; shorten it"
                )
        return rows

    def embed_strings(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token embeddings [S, T, C] of plain strings, up to the longest one's EOT, and where EOT stands, [S]."""
        rows = self.rows(texts)
        eot = torch.tensor([len(row) - 1 for row in rows], device=self.token_embedding.device)
        longest = max(map(len, rows))
        padded = [row + [0] * (longest - len(row)) for row in rows]
        return torch.stack([self.embed(row) for row in padded]), eot


@lru_cache(maxsize=4096)
def _token_ids(text: str) -> tuple[int, ...]:
    from open_clip import tokenize

    ids = tokenize([text])[0].tolist()
    return tuple(ids[: ids.index(EOT) + 1])
