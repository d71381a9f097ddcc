"""Frozen vision side of CLIP: one pass of its blocks, and what several learners read of it on the way.

Shapes: B batch, S image side in pixels, N = g·g patches, C vision width, D joint width.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from zsad.clip.attention import Block, attend, value_value
from zsad.clip.channels import swap_red_and_blue
from zsad.clip.features import FeatureSpec, ImageFeatures
from zsad.clip.locality import local_patches
from zsad.clip.windows import window_classes


@dataclass(frozen=True)
class ImageTower:
    """Frozen vision side of CLIP."""

    blocks: tuple[Block, ...]
    conv1: nn.Module
    class_embedding: Tensor  # [C]
    positional_embedding: Tensor  # [1+N, C], already at the wanted grid
    ln_pre: nn.Module
    ln_post: nn.Module
    projection: Tensor  # [C, D]
    grid: int

    def encode(self, images_B3SS: Tensor, spec: FeatureSpec) -> ImageFeatures:
        """What `spec` names, by one pass."""
        return self.encode_for(images_B3SS, [spec])[0]

    @torch.no_grad()
    def encode_for(self, images_B3SS: Tensor, specs: Sequence[FeatureSpec]) -> list[ImageFeatures]:
        """One pass for specs that agree on `bgr`; each gets the bits that a pass of its own would give.

        The V-V stream v_l = v_{l-1} + VV_l(h_{l-1}) starts from h_{vv_start} and reads the main stream, so streams of
        every start add the same VV_l.
        """
        if specs[0].bgr:
            images_B3SS = swap_red_and_blue(images_B3SS)
        x = self.conv1(images_B3SS).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(x.shape[0], 1, -1), x], dim=1) + self.positional_embedding
        h = self.ln_pre(x)
        readings = [_Reading(self, spec, h) for spec in specs]
        v_streams: dict[int, Tensor] = {}
        starts = {spec.vv_start for spec in specs}
        count = len(self.blocks)
        for i, block in enumerate(self.blocks[: max(spec.depth(count) for spec in specs)]):
            if i in starts:
                v_streams[i] = h
            q, k, v = block.qkv(h)
            if v_streams:
                added = value_value(block, v)
                v_streams = {start: stream + added for start, stream in v_streams.items()}
            outcomes = {
                whole: _finished(block, h, q, k, v, whole)
                for whole in {i + 1 < count or spec.reads_last_patches(count) for spec in specs}
            }
            for one in readings:
                attended, after = outcomes[i + 1 < count or one.spec.reads_last_patches(count)]
                one.after_block(i + 1, attended, after, v_streams)
            h = outcomes[max(outcomes)][1]
        return [one.features() for one in readings]

    def rounded(self, dtype: torch.dtype) -> "ImageTower":
        """The same with its matrices in `dtype`."""
        return replace(
            self,
            blocks=tuple(block.rounded(dtype) for block in self.blocks),
            conv1=copy.deepcopy(self.conv1).to(dtype),
            projection=self.projection.to(dtype),
        )

    def project(self, x: Tensor) -> Tensor:
        """Into the joint space."""
        return (x @ self.projection).float()


def _finished(block: Block, h: Tensor, q: Tensor, k: Tensor, v: Tensor, whole: bool) -> tuple[Tensor, Tensor]:
    """(h with attention added, h after the block), of all tokens or of the class token alone."""
    if not whole:
        h, q = h[:, :1], q[:, :, :1]
    attended = h + block.project(attend(q, k, v))
    return attended, block.feed(attended)


class _Reading:
    """What one spec takes from a pass, block after block."""

    def __init__(self, tower: ImageTower, spec: FeatureSpec, h: Tensor) -> None:
        """h: in front of the first block."""
        self.spec = spec
        self._tower = tower
        self._last = h
        self._v_stream: Tensor | None = None
        self._entry = h  # of the stream of local attention
        self._tensors: dict[str, Tensor] = {}
        if spec.entry == 0:
            self._tensors["entry"] = h.float()
        for scale in spec.windows:
            self._keep(f"window_{scale}", window_classes(tower.blocks, h, scale))

    def after_block(self, number: int, attended: Tensor, h: Tensor, v_streams: Mapping[int, Tensor]) -> None:
        """Block `number`, from 1, has run; attended: h before its MLP; v_streams: V-V streams by their start."""
        spec = self.spec
        v_stream = None if spec.vv_start is None else v_streams.get(spec.vv_start)
        if number in spec.halfway:
            self._tensors[f"halfway_{number}"] = attended[:, 1:].float()
        if number in spec.vv_layers:
            self._keep(f"stream_{number}", h if v_stream is None else v_stream)
        if number in spec.layers:
            self._tensors[f"layer_{number}"] = h[:, 1:].float()
        if number == spec.entry:
            self._tensors["entry"] = h.float()
        if spec.local and number == spec.local.start:
            self._entry = h
        self._last, self._v_stream = h, v_stream

    def features(self) -> ImageFeatures:
        """All that the spec names, after the last block."""
        spec, tower, h, tensors = self.spec, self._tower, self._last, self._tensors
        if spec.cls:
            tensors["cls"] = tower.project(h[:, 0])
        if spec.cls_post:
            self._keep("cls_post", h[:, 0])
        if spec.tokens:
            tensors["tokens"] = tower.ln_post(h[:, 1:]).float()
        if self._v_stream is not None and not spec.vv_layers:
            self._keep("patches", self._v_stream[:, 1:])
        if spec.local:
            self._keep("local", local_patches(tower.blocks, self._entry, spec.local))
        return ImageFeatures(tensors)

    def _keep(self, name: str, x: Tensor) -> None:
        self._tensors[name] = self._tower.project(self._tower.ln_post(x))
