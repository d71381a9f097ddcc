"""The compact token table: which of CLIP's 49,408 token embeddings exist, and where the others point."""

from functools import cache
from typing import NamedTuple

import numpy as np
import open_clip
from numpy.typing import NDArray

from zsad_synthetic.pretraining.world.vocabulary import texts

VOCABULARY = 49408
UNKNOWN = 0
"""Row shared by all tokens without one of their own."""


class Encoded(NamedTuple):
    """Tokenised texts, cut off after the longest."""

    rows: NDArray[np.int64]
    """[T, L] rows of the compact table."""
    ends: NDArray[np.int64]
    """[T] positions of the end-of-text token."""


@cache
def kept_ids() -> NDArray[np.int64]:
    """Sorted ids of the tokens with a row of their own: row r of the compact table belongs to id kept_ids()[r - 1]."""
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    used = {token for text in texts() for token in tokenizer.encode(text)}
    punctuation = {token for mark in ".,-:!'\"0123456789" for token in tokenizer.encode(mark)}
    return np.array(sorted(used | punctuation | {0, tokenizer.sot_token_id, tokenizer.eot_token_id}))


@cache
def row_of_id() -> NDArray[np.int64]:
    """[49408] the row of every token id."""
    rows = np.full(VOCABULARY, UNKNOWN)
    rows[kept_ids()] = np.arange(1, len(kept_ids()) + 1)
    return rows


def encode(texts: list[str]) -> Encoded:
    """Tokenise like open_clip, then look up rows."""
    ids = open_clip.tokenize(texts).numpy()
    ends = ids.argmax(1)
    return Encoded(row_of_id()[ids[:, : ends.max() + 1]], ends)
