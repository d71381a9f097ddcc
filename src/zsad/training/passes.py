"""A pass of the image tower over a set of pictures, and the name of all that decides its bits."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import PIL
import torch

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures, encode_images
from zsad.clip.streams import Stream, TowerSizes, streams
from zsad.common.code_digest import digest
from zsad.common.cpu import INSTRUCTIONS, vendor
from zsad.common.io import content_hash
from zsad.common.progress import progress

Batches = Iterator[tuple[range, np.ndarray]]  # places among the entries, CLIP input [b, 3, S, S]


@dataclass(frozen=True)
class Pass:
    """What goes through the tower, how, and what is kept of it.

    name: of the set, for people; pictures: hashes of their pixels, in order; views: how many entries each picture has;
    viewed: what decides how the views look, if there are any.
    """

    clip: Clip
    spec: FeatureSpec
    precision: str
    batch: int
    resize_first: bool
    name: str
    pictures: Sequence[str]
    views: int = 1
    viewed: object = None

    @property
    def count(self) -> int:
        """Entries: views of all pictures."""
        return len(self.pictures) * self.views

    @property
    def streams(self) -> list[Stream]:
        """What the tower gives."""
        return streams(self.spec, TowerSizes.of(self.clip))

    @property
    def shared(self) -> "Pass":
        """With both forms of the class token where one is read: learners differ in it, and the other costs nothing."""
        if not (self.spec.cls or self.spec.cls_post):
            return self
        return replace(self, spec=replace(self.spec, cls=True, cls_post=True))

    @cached_property
    def folder(self) -> str:
        """Of its streams in a store. Passes of one folder differ in nothing but which streams they keep.

        A pass is cut into the same batches every time: sums of other batches may end in other bits.
        """
        clip = self.clip
        positions = content_hash(clip.image.positional_embedding.cpu().numpy().tobytes().hex())  # resized, as they are
        tower = [clip.sha256, clip.activation, clip.image_size, positions]
        taken = [self.precision, self.batch, self.resize_first, self.spec.bgr]
        entries = [list(self.pictures), self.views, self.viewed]
        code = digest("zsad.clip.backbone", "zsad.clip.inputs", apart=["zsad.config"])
        return f"{self.name}_{content_hash([tower, taken, entries, code, _machine(clip.device)])}"

    def encoded(self, batches: Batches, label: str) -> Iterator[tuple[range, ImageFeatures]]:
        """Batch after batch, as they come from the tower."""
        for where, images in progress(batches, -(-self.count // self.batch), label):
            yield where, encode_images(self.clip, images, self.spec, self.precision)


def _machine(device: torch.device) -> list[object]:
    """What else decides the last bits (docs/repro.md)."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    chosen = [os.environ.get(name) for name in INSTRUCTIONS]
    how = [torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()]
    return [torch.__version__, PIL.__version__, kind, vendor(), *chosen, *how]
