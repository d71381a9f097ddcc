"""The stage `backbones`: which frozen CLIP each configuration runs on, a small file a configuration.

DVC cannot look up `backbones.<the configuration's backbone>`, so training depends on
data/backbones/<configuration>.json: another CLIP, or other weights of it, trains the configurations
that use it and no others.
"""

from pathlib import Path

from zsad.clip.weights import WEIGHTS
from zsad.common.io import atomic_directory, read_json, write_json
from zsad.config.params import Params

BACKBONES = Path("data/backbones")


def write_backbones(params: Params, out: Path = BACKBONES, weights: Path = WEIGHTS) -> None:
    """Write `out`/<configuration>.json: the block of `backbones` it names, and the sha256 of the prepared weights."""
    with atomic_directory(out) as directory:
        for key in params.configurations:
            configuration = params.configuration(key)
            prepared = read_json(weights / configuration.backbone_key / "backbone.json")
            told = {**configuration.backbone.model_dump(), "sha256": prepared["sha256"]}
            write_json(directory / f"{key}.json", told)
