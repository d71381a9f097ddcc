"""Prompts of Bayes-PFL through the frozen text tower. Part of the method in `__init__`.

A prompt is `SOT context state name EOT`, without article or full stop.
Shapes: N images, R samples, B prompts, 2 polarities, T tokens, C text width, D joint width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.text import SOT, Prefix, TextTower
from zsad.common.errors import UserError

NAMES = {  # the official code's names for prompts
    "macaroni1": "macaroni",
    "macaroni2": "macaroni",
    "pcb1": "printed circuit board",
    "pcb2": "printed circuit board",
    "pcb3": "printed circuit board",
    "pcb4": "printed circuit board",
    "pipe_fryum": "pipe fryum",
    "chewinggum": "chewing gum",
    "metal_nut": "metal nut",
}


class Words(NamedTuple):
    """What is not learned: SOT, run already; name and EOT [N, T, C] of each image, or of all, how many tokens [N]."""

    sot: Prefix
    names: Tensor
    lengths: Tensor


def encode_prompts(text: TextTower, context_NRBTC: Tensor, states_NRB2TC: Tensor, words: Words) -> Tensor:
    """Unit text features [N, 2, R·B, D], normal first, pair r·B + b.

    One name may stand for all images. SOT is run once, the context once for both polarities; state, name and EOT
    follow, nothing after EOT.
    """
    N, R, B = context_NRBTC.shape[:3]
    prefix = text.prefix(context_NRBTC.flatten(0, 2), words.sot.repeat(N * R * B))
    names = words.names[:, None, None, None].expand(N, R, B, 2, -1, -1)
    rest = torch.cat([states_NRB2TC.expand(N, *states_NRB2TC.shape[1:]), names], dim=4).flatten(0, 3)
    eot = (words.lengths + states_NRB2TC.shape[4] - 1)[:, None].expand(N, 2 * R * B).flatten()
    features = text.encode(rest, eot.to(rest.device), past=prefix.repeat(each=2)).unflatten(0, (N, R, B, 2))
    return F.normalize(features.permute(0, 3, 1, 2, 4).flatten(2, 3), dim=-1)


def read_words(text: TextTower, names: Sequence[str], learned: int) -> Words:
    """The words of prompts with `learned` tokens, names padded at the end; UserError for one that is too long."""
    room = len(text.positional_embedding) - 1 - learned
    rows = [text.ids(NAMES.get(name, name))[1:] for name in names]
    for name, row in zip(names, rows, strict=True):
        if len(row) > room:
            raise UserError(
                f"prompt name {name!r} has {len(row) - 1} tokens, room is for {room - 1}:"
                " shorten it under datasets.<key>.classes of params.yaml, or after --object"
            )
    lengths = torch.tensor([len(row) for row in rows])
    longest = max(map(len, rows))
    padded = [row + [0] * (longest - len(row)) for row in rows]
    sot = text.prefix(text.embed([SOT])[None])
    return Words(sot, torch.stack([text.embed(row) for row in padded]), lengths)
