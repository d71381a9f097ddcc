"""What a learner reads of the frozen image tower, and what it gets: features by name.

Shapes: B batch, g grid side, N = g·g patches, C vision width, D joint width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from zsad.clip.locality import Locality


@dataclass(frozen=True)
class FeatureSpec:
    """What a learner reads of the image tower; everything else is not computed or not kept."""

    cls: bool = False
    cls_post: bool = False
    vv_start: int | None = None
    layers: tuple[int, ...] = ()
    tokens: bool = False
    windows: tuple[int, ...] = ()
    halfway: tuple[int, ...] = ()
    bgr: bool = False  # the pictures go in with red and blue exchanged
    local: Locality | None = None
    entry: int | None = None  # number of blocks already run: for a learner that goes on from there by itself
    vv_layers: tuple[int, ...] = ()  # blocks (from 1) after which the V-V stream is kept; () = after the last

    def reads_last_patches(self, blocks: int) -> bool:
        """Whether anything but the class token is read of what the last of `blocks` blocks gives."""
        local = self.local is not None and self.local.start == blocks
        return self.tokens or local or blocks in self.layers or blocks in self.halfway or blocks == self.entry

    def depth(self, blocks: int) -> int:
        """How many of `blocks` blocks have to run."""
        if self.cls or self.cls_post or self.tokens or self.vv_start is not None or self.local is not None:
            return blocks
        return max(0, *self.layers, *self.halfway, self.entry or 0)


@dataclass(frozen=True)
class ImageFeatures:
    """Frozen features of a batch, by name; only those the spec asked for. Nothing is normalised.

    cls [B, D]: h_L[CLS] @ proj **without** ln_post, as the AnomalyCLIP family reads it; cls_post [B, D]: with ln_post,
    CLIP's own image feature; patches [B, N, D]: V-V stream after ln_post and proj; stream_<l> [B, 1+N, D]: the same
    after block l, class token first, the main stream where V-V has not begun; layer_<l> [B, N, C]: block l from 1;
    tokens [B, N, C]: patches of the last block after ln_post, before proj; window_<k> [B, (g-k+1)², D]: CLIP's image
    feature of every window of k × k patches, row-major (zsad.clip.windows); halfway_<l> [B, N, C]: within block l, its
    attention added and its MLP not yet; local [B, N, D]: the stream of local attention after ln_post and proj; entry
    [B, 1+N, C]: all tokens, class token first, after the first blocks or, for none of them, in front of the tower.

    precision: what the tower computed them in. A learner that goes on from `entry` does so in the same
    (zsad.clip.adaptation).
    """

    tensors: dict[str, Tensor]
    precision: str = "fp32"

    @property
    def cls(self) -> Tensor:
        return self.tensors["cls"]

    @property
    def cls_post(self) -> Tensor:
        return self.tensors["cls_post"]

    @property
    def patches(self) -> Tensor:
        return self.tensors["patches"]

    @property
    def local(self) -> Tensor:
        return self.tensors["local"]

    def stream(self, index: int) -> Tensor:
        return self.tensors[f"stream_{index}"]

    def layer(self, index: int) -> Tensor:
        return self.tensors[f"layer_{index}"]

    def halfway(self, index: int) -> Tensor:
        return self.tensors[f"halfway_{index}"]

    @property
    def entry(self) -> Tensor:
        return self.tensors["entry"]

    @property
    def tokens(self) -> Tensor:
        return self.tensors["tokens"]

    def window(self, scale: int) -> Tensor:
        return self.tensors[f"window_{scale}"]

    def select(self, images: Sequence[int]) -> "ImageFeatures":
        """Those of some images of the batch."""
        picked = {name: tensor[list(images)] for name, tensor in self.tensors.items()}
        return replace(self, tensors=picked)
