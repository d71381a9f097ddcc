"""A pass of the image tower over a set of pictures, and the name of all that decides its bits."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import PIL
import torch

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures, encode_images_for
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
    viewed: what decides how the views look, if there are any; others: what other configurations read of it, to be kept
    as well.
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
    others: tuple[FeatureSpec, ...] = ()

    @property
    def count(self) -> int:
        """Entries: views of all pictures."""
        return len(self.pictures) * self.views

    @property
    def streams(self) -> list[Stream]:
        """What is read of it here."""
        return streams(self.spec, TowerSizes.of(self.clip))

    @property
    def specs(self) -> list[FeatureSpec]:
        """What is kept of it, the others' too where they agree on `bgr`, with both forms of the class token where one
        is read: learners differ in it, and the other costs nothing.
        """
        asked = [self.spec, *(spec for spec in self.others if spec.bgr == self.spec.bgr)]
        both = [replace(spec, cls=True, cls_post=True) if spec.cls or spec.cls_post else spec for spec in asked]
        return list(dict.fromkeys(both))

    @property
    def kept(self) -> dict[str, tuple[FeatureSpec, Stream]]:
        """The streams of `specs` by file, each with the first that names it."""
        sizes = TowerSizes.of(self.clip)
        return {stream.file: (spec, stream) for spec in reversed(self.specs) for stream in streams(spec, sizes)}

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
        """Batch after batch of what is read here, as they come from the tower."""
        return ((where, found[self.spec]) for where, found in self.encoded_for([self.spec], batches, label))

    def encoded_for(
        self, specs: Sequence[FeatureSpec], batches: Batches, label: str
    ) -> Iterator[tuple[range, dict[FeatureSpec, ImageFeatures]]]:
        """The same of what each of several specs names."""
        for where, images in progress(batches, -(-self.count // self.batch), label):
            found = encode_images_for(self.clip, images, specs, self.precision)
            yield where, dict(zip(specs, found, strict=True))


def _machine(device: torch.device) -> list[object]:
    """What else decides the last bits (docs/repro.md)."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    chosen = [os.environ.get(name) for name in INSTRUCTIONS]
    how = [torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()]
    return [torch.__version__, PIL.__version__, kind, vendor(), *chosen, *how]
