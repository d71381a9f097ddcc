"""What an official checkpoint holds, tensor by tensor, and what methods of one family store alike.

A method's file has `layout(learner)` and `SETTINGS`: what released weights need where it is not the Config's default.
Shapes follow the learner's settings and its backbone; at ViT-L they are those of the released files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from zsad.clip.text import TextTower
from zsad.learners.base import Learner

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Caution:
    """Names that need a look, and what to do about them."""

    names: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True)
class Contents:
    """Names and shapes of all tensors below the one top-level key `top`; of a flat file, `top` ends in a dot.

    Of a file with several top-level keys, `top` has them all, and names begin with theirs and a dot.

    trained: becomes our parameter of that name, whose shape may lack axes of length 1. frozen: must equal these
    values, which follow from CLIP alone. copies: name → trained tensor that it repeats. whole: which
    of these are counters. unused: dropped. late: tensors
    that start at zero; all of them still zero, and the file is of an earlier stage of training. keyed: settings that
    depend on the training set and stand in no file.
    """

    top: str | tuple[str, ...]
    trained: dict[str, Shape]
    frozen: dict[str, Tensor] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    unused: dict[str, Shape] = field(default_factory=dict)
    late: Caution = Caution()
    keyed: Caution = Caution()

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every tensor in the file."""
        return {
            **self.trained,
            **{name: tuple(value.shape) for name, value in self.frozen.items()},
            **{name: self.trained[original] for name, original in self.copies.items()},
            **self.unused,
        }


def parameters(learner: Learner) -> dict[str, Shape]:
    """Our stored parameters and their shapes: what most official files hold under the same names."""
    stored = learner.checkpoint()
    return {name: tuple(value.shape) for name, value in learner.named_parameters() if name in stored}


def stored(learner: Learner) -> dict[str, Shape]:
    """The same with buffers, such as the running statistics of a batch norm."""
    return {name: tuple(value.shape) for name, value in learner.checkpoint().items()}


def prompts(text: TextTower, polarity: str, texts: Sequence[str], learned: int) -> dict[str, Tensor]:
    """Buffers of n prompts `SOT learned… rest`: ids [1, n, 77], embeddings of SOT [1, n, 1, C] and rest [1, n, T, C].

    `texts` have a placeholder word of one token for each of the `learned` tokens.
    """
    rows = [text.ids(one) for one in texts]
    length = len(text.positional_embedding)
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int32)
    embedded = torch.stack([text.embed(row) for row in ids.tolist()])[None]
    return {
        f"token_prefix_{polarity}": embedded[:, :, :1],
        f"token_suffix_{polarity}": embedded[:, :, 1 + learned :],
        f"tokenized_prompts_{polarity}": ids[None],
    }


def projections(sets: int, width: int) -> dict[str, Shape]:
    """One linear layer to width 896 a set of deep tokens, which no forward pass reads."""
    shapes: dict[str, Shape] = {}
    for i in range(sets):
        shapes[f"compound_prompt_projections.{i}.weight"] = (896, width)
        shapes[f"compound_prompt_projections.{i}.bias"] = (896,)
    return shapes
