"""A CLIP of any architecture with random weights, for what does not depend on them: time, memory, equality."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zsad.clip.weights import model_config
from zsad.common.errors import UserError
from zsad.common.io import file_sha256, write_json
from zsad.config.schema import BackboneParams

HEAD = 64  # OpenAI's towers have heads of this width, and the authors' codes derive their number from it


def write_untrained(config: Mapping[str, Any], out: Path) -> None:
    """A directory as the `weights` stage writes it, of OpenAI's family; config: an open_clip `model_cfg`.

    Values are those of half precision, as OpenAI's are, and the same on every machine.
    """
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in CLIP(**dict(config)).state_dict().items()}
    out.mkdir(parents=True)
    weights = out / "open_clip_model.safetensors"
    save_file({name: _values(name, shape).half().float() for name, shape in shapes.items()}, weights)
    write_json(out / "open_clip_config.json", {"model_cfg": dict(config)})
    identity = {"name": "untrained", "pretrained": "openai", "family": "openai", "activation": "quickgelu"}
    write_json(out / "backbone.json", {**identity, "sha256": file_sha256(weights)})


def config_as_openai(params: BackboneParams) -> dict[str, Any]:
    """The `model_cfg` of a backbone, whose weights need not be there; UserError unless heads have OpenAI's width."""
    config = model_config(params)
    text = config["text_cfg"]
    heads = (config["vision_cfg"].get("head_width", HEAD), text["width"] // text["heads"])
    if heads != (HEAD, HEAD):
        raise UserError(
            f"params.yaml: backbones: {params.name!r}: heads of {heads[0]} and {heads[1]}, where OpenAI's have {HEAD};"
            " ViT-B-16 or ViT-L-14-336 would do"
        )
    return config


def _values(name: str, shape: tuple[int, ...]) -> Tensor:
    """Matrices keep the size of what they act on, norms leave it as it is, biases and positions are small."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    values = torch.from_numpy(np.asarray(drawn))
    if name == "logit_scale":
        return torch.tensor(100.0).log()
    if "ln_" in name and name.endswith("weight"):
        return 1 + 0.1 * values
    if name == "visual.conv1.weight":
        return values * (shape[1] * shape[2] * shape[3]) ** -0.5
    if len(shape) == 2 and "embedding" not in name:
        return values * shape[1 if name.endswith("weight") else 0] ** -0.5
    return 0.2 * values
