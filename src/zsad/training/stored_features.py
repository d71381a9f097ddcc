"""Frozen features on disk: computed once, memory-mapped, read back by picture.

ViT-L at 518 px: 4.2 MB an image for patches, 5.6 MB for each block that is read; so memory does not grow.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from zsad.clip.backbone import ImageFeatures
from zsad.common.io import full_disk_named


class StoredFeatures:
    """Features of `count` pictures by name, float32 files in `directory`."""

    def __init__(self, directory: Path, count: int) -> None:
        self.directory = directory
        self.count = count
        self.arrays: dict[str, np.ndarray] = {}
        self.precision = "fp32"

    def put(self, where: range, features: ImageFeatures) -> None:
        """Keep what the tower gave for these pictures."""
        self.precision = features.precision
        for name, tensor in features.tensors.items():
            values = tensor.cpu().numpy()
            if name not in self.arrays:
                self.arrays[name] = self._file(name, values.shape[1:])
            self.arrays[name][where.start : where.stop] = values

    def _file(self, name: str, shape: Sequence[int]) -> np.ndarray:
        self.directory.mkdir(parents=True, exist_ok=True)
        path, whole = self.directory / f"{name}.f32", (self.count, *shape)
        with full_disk_named(path), path.open("wb") as file:  # a sparse file on a full disk would be a bus error
            os.posix_fallocate(file.fileno(), 0, 4 * math.prod(whole))
        return np.memmap(path, dtype=np.float32, mode="r+", shape=whole)

    def get(self, entries: Sequence[int], device: torch.device) -> ImageFeatures:
        """Those of some pictures, on the device."""
        pick = list(entries)
        tensors = {name: torch.from_numpy(array[pick]).to(device) for name, array in self.arrays.items()}
        return ImageFeatures(tensors, self.precision)
