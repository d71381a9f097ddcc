"""A CLIP of any architecture with random weights, for what does not depend on them: time, memory, equality."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zsad.clip.architectures import obstacles
from zsad.common.errors import UserError
from zsad.common.io import file_sha256, write_json

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


def architecture(name: str) -> dict[str, Any]:
    """The `model_cfg` of an open_clip name, or of the embedded CLIP; heads of OpenAI's width, or a UserError."""
    import open_clip

    from zsad.clip.embedded import loader as embedded
    from zsad.clip.weights import EMBEDDED

    config = embedded.config()["model_cfg"] if name == EMBEDDED else open_clip.get_model_config(name)
    why = ["no such architecture in open_clip"] if config is None else obstacles(config)
    if not why:
        heads = (
            config["vision_cfg"].get("head_width", HEAD),
            config["text_cfg"]["width"] // config["text_cfg"]["heads"],
        )
        why = [] if heads == (HEAD, HEAD) else [f"heads of {heads[0]} and {heads[1]}, where OpenAI's have {HEAD}"]
    if why:
        raise UserError(f"params.yaml: backbones: {name!r}: {'; '.join(why)}; ViT-B-16 or ViT-L-14-336 would do")
    return dict(config)


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
