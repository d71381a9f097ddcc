"""The embedded weights: a plain open_clip state dict, stored without the token rows that were never trained."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from zsad.common.io import file_sha256

FOLDER = Path(__file__).parent
WEIGHTS = FOLDER / "weights.safetensors"
TOKEN_ROWS, TOKEN_IDS = "token_embedding.rows", "token_embedding.ids"
"""Names under which the compact token table is stored: row 0 is shared by every id that is not listed."""


def config() -> dict[str, Any]:
    """The architecture, in the form of open_clip's `open_clip_config.json`."""
    return json.loads((FOLDER / "open_clip_config.json").read_text())


def state_dict() -> dict[str, Tensor]:
    """The open_clip state dict in fp32, with all 49,408 token rows."""
    stored = load_file(WEIGHTS)
    rows, ids = stored.pop(TOKEN_ROWS).float(), stored.pop(TOKEN_IDS).long()
    table = rows[:1].repeat(config()["model_cfg"]["text_cfg"]["vocab_size"], 1)
    table[ids] = rows[1:]
    return {name: tensor.float() for name, tensor in stored.items()} | {"token_embedding.weight": table}


def sha256() -> str:
    """Hash of the stored weights file."""
    return file_sha256(WEIGHTS)
