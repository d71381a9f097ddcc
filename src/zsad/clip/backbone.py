"""The only file that knows open_clip's insides: frozen CLIP towers at any square image size.

Shapes: C vision width, D joint width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.clip.adaptation import HALVES, computing_in
from zsad.clip.attention import Block
from zsad.clip.features import FeatureSpec as FeatureSpec
from zsad.clip.features import ImageFeatures as ImageFeatures
from zsad.clip.image import ImageTower
from zsad.clip.text import TextTower
from zsad.common.errors import UserError
from zsad.common.io import read_json

Activation = Literal["gelu", "quickgelu"]
OPENAI_SCALE = 100.0  # `logit_scale` of OpenAI's weights
PositionResize = Literal["bilinear", "bicubic", "bicubic_antialias"]


@dataclass(frozen=True)
class Clip:
    """Both frozen towers and what learners derive their settings from."""

    image: ImageTower
    text: TextTower
    logit_scale: float  # exp of the trained parameter: 1 / temperature
    sha256: str  # of the weights file
    image_size: int
    patch_size: int
    activation: Activation
    device: torch.device
    _rounded: dict[str, ImageTower] = field(default_factory=dict, init=False, repr=False, compare=False)

    def tower(self, precision: str) -> ImageTower:
        """The image tower to run in `precision`: autocast would round frozen matrices anew in every pass."""
        if precision not in HALVES:
            return self.image
        if precision not in self._rounded:
            self._rounded[precision] = self.image.rounded(HALVES[precision])
        return self._rounded[precision]

    @property
    def grid(self) -> int:
        return self.image.grid

    @property
    def joint_width(self) -> int:
        return self.image.projection.shape[1]


def encode_images(clip: Clip, images: np.ndarray, spec: FeatureSpec, precision: str) -> ImageFeatures:
    """One batch [b, 3, S, S] through the frozen image tower, in `precision` (`computing_in`); features are float32."""
    return encode_images_for(clip, images, [spec], precision)[0]


def encode_images_for(
    clip: Clip, images: np.ndarray, specs: Sequence[FeatureSpec], precision: str
) -> list[ImageFeatures]:
    """The same for several specs at once (`ImageTower.encode_for`)."""
    with computing_in(precision, clip.device):
        found = clip.tower(precision).encode_for(torch.from_numpy(images).to(clip.device), specs)
    return [replace(features, precision=precision) for features in found]


def load_clip(
    directory: Path,
    image_size: int,
    openai_activation: Activation,
    position_resize: PositionResize,
    device: torch.device,
) -> Clip:
    """Towers from `directory` (open_clip_config.json, open_clip_model.safetensors, backbone.json), frozen, in fp32.

    OpenAI weights run with the activation the learner's official code used; any other weights with the one they were
    pretrained with. open_clip only warns when the two differ, so the resolved choice is asserted on the built modules.
    """
    from safetensors.torch import load_file

    identity = read_json(directory / "backbone.json")
    config = read_json(directory / "open_clip_config.json")["model_cfg"]
    activation: Activation = openai_activation if identity["family"] == "openai" else identity["activation"]
    model = _without_values(config, activation)
    state = load_file(directory / "open_clip_model.safetensors")
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=True, assign=True)
    return _towers(model, identity, image_size, activation, position_resize, device)


def untrained_clip(
    config: dict[str, Any],
    name: str,
    image_size: int,
    activation: Activation,
    position_resize: PositionResize,
    device: torch.device,
) -> Clip:
    """Towers of an architecture (`model_cfg` of open_clip) with random weights; on the device `meta` with none at all.

    To count and to time what they cost.
    """
    model = _without_values(config, activation)
    if device.type != "meta":
        model = model.to_empty(device=device)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.02)
        nn.init.constant_(model.logit_scale, math.log(OPENAI_SCALE))
    return _towers(model, {"name": name, "sha256": ""}, image_size, activation, position_resize, device)


def _without_values(config: dict[str, Any], activation: Activation) -> Any:
    """open_clip's model: its modules and the shapes of its parameters."""
    from open_clip.model import CLIP

    with torch.device("meta"):
        return CLIP(**{**config, "quick_gelu": activation == "quickgelu"})


def _towers(
    model: Any,
    identity: dict[str, Any],
    image_size: int,
    activation: Activation,
    position_resize: PositionResize,
    device: torch.device,
) -> Clip:
    del model.attn_mask  # a buffer without storage here; the text tower masks by itself
    _refuse_unsupported(model, identity["name"])
    model = model.to(device).eval().requires_grad_(False)
    image = _image_tower(model.visual, image_size, activation, position_resize, identity["name"])
    text = TextTower(
        blocks=_blocks(model.transformer.resblocks, activation),
        token_embedding=model.token_embedding.weight,
        positional_embedding=model.positional_embedding,
        ln_final=model.ln_final,
        projection=model.text_projection,
    )
    patch_size = image_size // image.grid
    scale = float(model.logit_scale.exp()) if device.type != "meta" else OPENAI_SCALE
    return Clip(image, text, scale, identity["sha256"], image_size, patch_size, activation, device)


def _image_tower(visual: Any, image_size: int, activation: Activation, resize: PositionResize, name: str) -> ImageTower:
    patch = visual.conv1.kernel_size[0]
    if image_size % patch:
        raise UserError(
            f"params.yaml: backbones: image_size {image_size} must be a multiple of {name}'s patch, {patch}"
        )
    grid = image_size // patch
    return ImageTower(
        blocks=_blocks(visual.transformer.resblocks, activation),
        conv1=visual.conv1,
        class_embedding=visual.class_embedding,
        positional_embedding=resize_positions(visual.positional_embedding, grid, resize),
        ln_pre=visual.ln_pre,
        ln_post=visual.ln_post,
        projection=visual.proj,
        grid=grid,
    )


def _blocks(resblocks: Sequence[Any], activation: Activation) -> tuple[Block, ...]:
    for block in resblocks:
        built: Activation = "gelu" if type(block.mlp.gelu) is nn.GELU else "quickgelu"
        assert built == activation, f"built with {built}, wanted {activation}"
    return tuple(
        Block(
            ln_1=block.ln_1,
            ln_2=block.ln_2,
            mlp=block.mlp,
            in_proj_weight=block.attn.in_proj_weight,
            in_proj_bias=block.attn.in_proj_bias,
            out_proj=block.attn.out_proj,
            heads=block.attn.num_heads,
        )
        for block in resblocks
    )


def resize_positions(positions: Tensor, grid: int, mode: PositionResize) -> Tensor:
    """Position embedding [1+M, C] at another grid: [1+grid², C]; the CLS row is kept.

    `bilinear` (AnomalyCLIP, CoPS, FAPrompt): align_corners=False, no antialias; `bicubic` (AdaCLIP): the same.
    `bicubic_antialias`: open_clip's own; its kernel is another one, also where the grid grows.
    """
    cls, patches = positions[:1], positions[1:]
    native = round(len(patches) ** 0.5)
    if native == grid:
        return positions
    image = patches.T.reshape(1, -1, native, native)
    kind, _, antialias = mode.partition("_")
    image = F.interpolate(image, size=(grid, grid), mode=kind, align_corners=False, antialias=bool(antialias))
    return torch.cat([cls, image.flatten(2)[0].T])


def _refuse_unsupported(model: Any, name: str) -> None:
    """Learners read CLS, patches and `proj` as OpenAI's ViTs have them; any other head would be silently wrong."""
    visual = model.visual
    plain = (
        getattr(visual, "pool_type", None) == "tok"
        and getattr(visual, "attn_pool", None) is None
        and not getattr(visual, "final_ln_after_pool", False)
        and isinstance(getattr(visual, "ln_pre", None), nn.LayerNorm)
        and isinstance(visual.transformer.resblocks[0].ls_1, nn.Identity)
        and isinstance(model.text_projection, nn.Parameter)
    )
    if not plain:
        raise UserError(
            f"params.yaml: backbones: {name} is not a plain CLIP ViT (class-token pooling, ln_pre, linear projections);"
            " choose another architecture, such as ViT-B-16 or ViT-L-14-336"
        )
