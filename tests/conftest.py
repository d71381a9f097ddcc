"""Shared fixtures: small frozen CLIPs with random weights that are the same on every machine."""

import copy
import gc
import os
import subprocess
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zsad.common.cpu import cores, settings

os.environ.update(settings(deterministic=True, threads=1))  # as stages compute; before torch and NumPy are imported

import numpy as np
import pytest
import torch
from torch import Tensor

TINY = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 48, "patch_size": 8, "width": 128, "layers": 4, "head_width": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 4},
}
SIDE = 72  # 9 x 9 patches: not the native 6 x 6, so that the position embedding is resized


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait, for a server or a time-out, and a core would wait with them."""
    return cores() + 1


def pytest_collection() -> None:
    """What is imported is no garbage, and looking takes half of the time of collecting tests."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def shipped(name: str) -> str:
    """A file as it is committed: a profile that was applied to this checkout does not matter to tests of what ships."""
    command = ["git", "show", f"HEAD:{name}"]
    return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout


def seeded_values(shapes: Mapping[str, Any], seed: int) -> dict[str, Tensor]:
    """Random tensors, each a function of its name and `seed` alone, from NumPy's frozen legacy generator.

    Matrices keep the size of what they act on; norm weights lie around 1; vectors and token rows are small.
    """
    values = {}
    for name, size in shapes.items():
        shape = tuple(size)
        value = np.random.RandomState([seed, zlib.crc32(name.encode())]).standard_normal(shape).astype(np.float32)
        if name.endswith("logit_scale"):
            value = np.float32(np.log(20.0)) + 0 * value
        elif ("ln_" in name and name.endswith("weight")) or name.endswith("running_var"):
            value = 1 + 0.1 * value
        elif name.endswith("weight") and len(shape) == 4:
            value *= (shape[1] * shape[2] * shape[3]) ** -0.5
        elif name.endswith(("weight", "proj", "projection")) and "embedding" not in name and len(shape) == 2:
            value *= shape[1 if name.endswith("weight") else 0] ** -0.5
        else:
            value *= 0.2
        values[name] = torch.from_numpy(np.asarray(value, dtype=np.float32))
    return values


def write_backbone(directory: Path, config: Mapping[str, Any], seed: int, family: str, activation: str) -> Path:
    """A backbone directory as the `weights` stage writes it; tensor names and shapes are open_clip's."""
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    from zsad.common.io import file_sha256, write_json

    with torch.device("meta"):
        shapes = {name: value.shape for name, value in CLIP(**copy.deepcopy(dict(config))).state_dict().items()}
    directory.mkdir(parents=True, exist_ok=True)
    weights = directory / "open_clip_model.safetensors"
    save_file(seeded_values(shapes, seed), weights)
    write_json(directory / "open_clip_config.json", {"model_cfg": dict(config)})
    identity = {"name": "tiny", "pretrained": family, "family": family, "activation": activation}
    write_json(directory / "backbone.json", {**identity, "sha256": file_sha256(weights)})
    return directory


@pytest.fixture(scope="session")
def tiny_config() -> dict[str, Any]:
    """A copy of the small architecture, to change at will."""
    return copy.deepcopy(TINY)


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """backbone(family="openai", activation="quickgelu", seed=0, **changes of the config) → directory."""
    made: dict[str, Path] = {}

    def make(family: str = "openai", activation: str = "quickgelu", seed: int = 0, **changes: Any) -> Path:
        key = repr((family, activation, seed, sorted(changes.items())))
        if key not in made:
            config = {**copy.deepcopy(TINY), **changes}
            made[key] = write_backbone(tmp_path_factory.mktemp("clip"), config, seed, family, activation)
        return made[key]

    return make


@pytest.fixture(scope="session")
def clip(backbone: Callable[..., Path]) -> Any:
    """The small CLIP at 72 px with QuickGELU, as the learners' official codes ran OpenAI's weights."""
    from zsad.clip.backbone import load_clip

    return load_clip(backbone(), SIDE, "quickgelu", "bilinear", torch.device("cpu"))


@pytest.fixture(scope="session")
def pictures() -> Tensor:
    """Twelve normalised inputs [12, 3, 72, 72] of blobs and noise."""
    generator = np.random.RandomState(7)
    coarse = torch.from_numpy(generator.standard_normal((12, 3, 6, 6)).astype(np.float32))
    fine = torch.from_numpy(generator.standard_normal((12, 3, SIDE, SIDE)).astype(np.float32))
    return torch.nn.functional.interpolate(coarse, size=SIDE, mode="nearest") + 0.3 * fine


@pytest.fixture(scope="session")
def build(clip: Any) -> Callable[..., Any]:
    """build(method, clip=the small one, protocol="strict", seed=1, shots=0, **settings) → a learner with seeded
    parameters.
    """
    from zsad.learners.lookup import build_config, learner_class

    def make(method: str, clip: Any, protocol: str = "strict", seed: int = 1, shots: int = 0, **settings: Any) -> Any:
        own = {"shots": shots} if shots else {}
        learner = learner_class(method)(build_config(method, settings, "learners.x"), clip, protocol, **own)
        values = seeded_values({name: value.shape for name, value in learner.state_dict().items()}, seed)
        learner.load_state_dict(values)
        return learner

    return partial(make, clip=clip)


@pytest.fixture(scope="session")
def open_clip_model(backbone: Callable[..., Path]) -> Any:
    """open_clip's own model with the weights of `clip`, at its native 48 px."""
    from open_clip.model import CLIP
    from safetensors.torch import load_file

    model = CLIP(**copy.deepcopy(TINY), quick_gelu=True)
    model.load_state_dict(load_file(backbone() / "open_clip_model.safetensors"))
    return model.eval()


@pytest.fixture(scope="session")
def masks() -> Tensor:
    """Masks [12, 72, 72] of `pictures`: every second image holds a 20 x 13 rectangle."""
    values = torch.zeros(12, SIDE, SIDE)
    for i in range(1, 12, 2):
        values[i, 5 * i % 40 : 5 * i % 40 + 20, 3 * i % 30 : 3 * i % 30 + 13] = 1
    return values


@pytest.fixture(scope="session")
def make_batch(masks: Tensor) -> Callable[..., Any]:
    """make_batch(features of all twelve images, indices) → Batch; an image's reference is the one two places on."""
    from zsad.learners.base import Batch

    def make(features: Any, indices: Sequence[int]) -> Any:
        pick = list(indices)
        part = type(features)({name: value[pick] for name, value in features.tensors.items()})
        labels = masks[pick].flatten(1).amax(1).long()
        return Batch(part, masks[pick], labels, ["object"] * len(pick), features.select([(i + 2) % 12 for i in pick]))

    return make


@pytest.fixture(scope="session")
def vit_l_shapes() -> Any:
    """A CLIP with ViT-L/14@336's widths and depths, without storage: enough to count a learner's parameters."""
    from zsad.clip.backbone import Clip
    from zsad.clip.image import ImageTower
    from zsad.clip.text import TextTower

    with torch.device("meta"):
        norm = torch.nn.Identity()
        image = ImageTower(
            (None,) * 24, norm, torch.empty(1024), torch.empty(1370, 1024), norm, norm, torch.empty(1024, 768), 37
        )
        text = TextTower((None,) * 12, torch.empty(49408, 768), torch.empty(77, 768), norm, torch.empty(768, 768))
    return Clip(image, text, 100.0, "", 518, 14, "quickgelu", torch.device("meta"))
