"""The auxiliary set as a trainer reads it: frozen features computed once, masks, labels, prompt names.

Learners train on frozen features without augmentation, so the image tower need not run again in any later epoch. The
features are memory-mapped float32 files (ViT-L at 518 px: 4.2 MB an image), so memory does not grow with the set.
"""

import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.datasets.images import iterate_images, resize_mask_paper
from zsad.datasets.manifest import Manifest
from zsad.io import full_disk_named
from zsad.learners.base import Batch
from zsad.progress import progress


class SourceData:
    """The source's *test* split (normal and anomalous, with masks): what the field trains on."""

    def __init__(self, manifest: Manifest, clip: Clip, directory: Path) -> None:
        self.rows = manifest.test
        self.root = manifest.root
        self.clip = clip
        self.directory = directory
        self.features: dict[str, np.ndarray] = {}
        side = clip.image_size
        self.masks = np.zeros((len(self.rows), (side * side + 7) // 8), np.uint8)  # one bit a pixel
        for i, row in enumerate(self.rows):
            if row.mask:
                self.masks[i] = np.packbits(resize_mask_paper(self.root / row.mask, side))

    def __len__(self) -> int:
        return len(self.rows)

    def encode(self, spec: FeatureSpec, batch: int, precision: str, resize_first: bool) -> None:
        """Run the frozen image tower once over all images and keep what `spec` names, as files in `directory`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        paths = [self.root / row.path for row in self.rows]
        batches = iterate_images(paths, self.clip.image_size, batch, resize_first)
        for where, images in progress(batches, -(-len(paths) // batch), "encoding the source"):
            for name, tensor in encode_images(self.clip, images, spec, precision).tensors.items():
                self._store(name, where, tensor.cpu().numpy())

    def _store(self, name: str, where: range, values: np.ndarray) -> None:
        if name not in self.features:
            shape = (len(self), *values.shape[1:])
            path = self.directory / f"{name}.f32"
            with full_disk_named(path), path.open("wb") as file:  # a sparse file on a full disk would be a bus error
                os.posix_fallocate(file.fileno(), 0, 4 * math.prod(shape))
            self.features[name] = np.memmap(path, dtype=np.float32, mode="r+", shape=shape)
        self.features[name][where.start : where.stop] = values

    def batch(self, indices: Sequence[int]) -> Batch:
        """These images, on the device."""
        device, side = self.clip.device, self.clip.image_size
        pick = list(indices)
        features = {name: torch.from_numpy(array[pick]).to(device) for name, array in self.features.items()}
        bits = np.unpackbits(self.masks[pick], axis=1, count=side * side).reshape(-1, side, side)
        return Batch(
            features=ImageFeatures(features),
            masks=torch.from_numpy(bits).to(device).float(),
            labels=torch.tensor([self.rows[i].label for i in pick], device=device),
            names=[self.rows[i].prompt_name for i in pick],
        )


def encode_images(clip: Clip, images: np.ndarray, spec: FeatureSpec, precision: str) -> ImageFeatures:
    """One batch [b, 3, S, S] through the frozen image tower; `bf16` runs it under autocast, features stay float32."""
    context = torch.autocast(clip.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    with context:
        return clip.image.encode(torch.from_numpy(images).to(clip.device), spec)
