"""Prompts of Bayes-PFL through the frozen text tower. Part of the method in `__init__`.

A prompt is `SOT context state name EOT`, without article or full stop.
Shapes: N images, R samples, B prompts, 2 polarities, T tokens, C text width, D joint width.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.text import SOT, TextTower
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


def encode_prompts(text: TextTower, context_NRBTC: Tensor, states_NRB2TC: Tensor, names: Sequence[str]) -> Tensor:
    """Unit text features [N, 2, R·B, D], normal first, pair r·B + b.

    One name may stand for all images. SOT is run once, the context once for both polarities; state, name and EOT
    follow, nothing after EOT.
    """
    N, R, B, before = context_NRBTC.shape[:4]
    state_length = states_NRB2TC.shape[4]
    words_NTC, lengths = _words(text, names, room=len(text.positional_embedding) - 1 - before - state_length)
    prefix = text.prefix(text.embed([SOT])[None])
    prefix = text.prefix(context_NRBTC.flatten(0, 2), prefix.repeat(N * R * B))
    words = words_NTC[:, None, None, None].expand(N, R, B, 2, -1, -1)
    rest = torch.cat([states_NRB2TC, words], dim=4).flatten(0, 3)
    eot = (lengths + state_length - 1)[:, None].expand(N, 2 * R * B).flatten()
    features = text.encode(rest, eot.to(rest.device), past=prefix.repeat(each=2)).unflatten(0, (N, R, B, 2))
    return F.normalize(features.permute(0, 3, 1, 2, 4).flatten(2, 3), dim=-1)


def _words(text: TextTower, names: Sequence[str], room: int) -> tuple[Tensor, Tensor]:
    """Embeddings [N, T, C] of each name and EOT, padded at the end, and how many tokens each has, [N]."""
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
    return torch.stack([text.embed(row) for row in padded]), lengths
