"""Frozen features of a set of pictures, which went through the image tower once, in this process or in another.

ViT-L at 518 px: 4.2 MB an image for patches, 5.6 MB for each block that is read. So they lie on disk, memory-mapped,
and memory does not grow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import torch

from zsad.clip.backbone import ImageFeatures
from zsad.common.progress import log, progress
from zsad.training.feature_store import FeatureStore, Kept, Kind
from zsad.training.others import Others
from zsad.training.passes import Batches, Pass


@dataclass(frozen=True)
class StoredFeatures:
    """Features by name, float32 [entries, ...], and what lies `beside` them, as arrays of files."""

    kept: Mapping[str, Kept]
    precision: str
    beside: Mapping[str, Kept] = field(default_factory=dict)

    def get(self, entries: Sequence[int], device: torch.device) -> ImageFeatures:
        """Those of some entries, on the device."""
        pick = list(entries)
        tensors = {name: torch.from_numpy(np.asarray(one.array[pick])).to(device) for name, one in self.kept.items()}
        return ImageFeatures(tensors, self.precision)


def stored_features(
    stores: Sequence[FeatureStore],
    one: Pass,
    batches: Callable[[], Batches],
    label: str,
    beside: Mapping[str, np.ndarray] = MappingProxyType({}),
    others: Others = tuple,
) -> StoredFeatures | None:
    """The features of a pass from the first store that has them or has room for them; None where none has.

    beside: arrays by name that are stored as well, which making the batches fills; others: read of the same pass later.
    """
    for store in stores:
        wanted = [*(stream.file for stream in one.streams), *beside]
        found = store.find(one.folder, wanted)
        if len(found) == len(wanted):
            log(f"{one.name}: frozen features are in {store.root / one.folder}")
        else:
            with store.alone(one.folder):
                whole = replace(one, others=tuple(others())) if store.budget else one
                found |= _computed(store, whole, batches, label, beside)
        if found.keys() >= set(wanted):
            kept = {stream.name: found[stream.file] for stream in one.streams}
            return StoredFeatures(kept, one.precision, {name: found[name] for name in beside})
    return None


def _computed(
    store: FeatureStore, one: Pass, batches: Callable[[], Batches], label: str, beside: Mapping[str, np.ndarray]
) -> dict[str, Kept]:
    """All files of a pass; those of them that were there before where the store has no room for the others.

    What only others read is spare: all of it is kept, or none.
    """
    kinds: dict[str, Kind] = {name: (array.dtype, array.shape) for name, array in beside.items()}
    kinds |= {file: (np.dtype(np.float32), (one.count, *stream.shape)) for file, (_, stream) in one.kept.items()}
    found = store.find(one.folder, kinds)  # perhaps another process was just computing them
    missing = {file: kind for file, kind in kinds.items() if file not in found}
    if not missing:
        return found
    spare = missing.keys() - replace(one, others=()).kept.keys() - beside.keys()
    with store.write(one.folder, missing, spare) as begun:
        if begun is not None:
            filled = {file: place for file, place in one.kept.items() if file in begun}
            specs = list(dict.fromkeys(spec for spec, _ in filled.values())) or [one.spec]  # to fill `beside`
            for where, features in one.encoded_for(specs, batches(), label):
                for file, (spec, stream) in filled.items():
                    tensor = features[spec].tensors[stream.name]
                    begun[file].array[where.start : where.stop] = tensor.cpu().numpy()
            for name in beside.keys() & begun.keys():
                begun[name].array[:] = beside[name]
            return found | begun
    if spare:
        return _computed(store, replace(one, others=()), batches, label, beside)
    log(f"{one.name}: {store.root} has no room for the frozen features, which are not kept")
    return found


def feature_batches(
    stores: Sequence[FeatureStore], one: Pass, batches: Callable[[], Batches], label: str, others: Others = tuple
) -> Iterator[tuple[range, ImageFeatures]]:
    """Batch after batch of a pass: from a store, or, where none has room, as they come from the tower."""
    kept = stored_features(stores, one, batches, label, others=others)
    if kept is None:
        yield from one.encoded(batches(), label)
        return
    starts = range(0, one.count, one.batch)
    for start in progress(starts, len(starts), label):
        where = range(start, min(start + one.batch, one.count))
        yield where, kept.get(where, one.clip.device)
