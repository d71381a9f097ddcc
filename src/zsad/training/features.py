"""The auxiliary set as a trainer reads it: frozen features computed once, masks, labels, prompt names.

The image tower is frozen, so it runs once per picture, or once per view where a method augments: a fixed pool of random
views of each picture stands in for fresh ones, and each epoch draws one of them. The features wait on disk
(`stored_features`), in a store that other cells share or in a folder of this cell's own.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zsad.clip.backbone import Clip, FeatureSpec
from zsad.clip.inputs import iterate_images, to_input
from zsad.common.seeding import derive_seed
from zsad.datasets.images import WORKERS, in_threads, read_image
from zsad.datasets.manifest import Manifest, Row
from zsad.datasets.masks import read_mask, resize_mask_paper
from zsad.learners.base import Batch, Sample
from zsad.training.feature_store import FeatureStore
from zsad.training.others import Others
from zsad.training.passes import Batches, Pass
from zsad.training.references import ByCategory, References
from zsad.training.stored_features import StoredFeatures, stored_features

View = Callable[[Sample, Sequence[Callable[[], Sample]], np.random.Generator], Sample]  # Learner.view


class SourceData:
    """The source's *test* split (normal pictures, and anomalous ones with masks): what the field trains on.

    Entries: the pictures in the manifest's order, each in `views` random views made by `view` (0: only as it is).
    references: pools of normal pictures, by category; batches bring one for each picture (None: they bring none).
    directory: for features that `stores` has no room for; viewed: what decides how views look.
    """

    features: StoredFeatures

    def __init__(
        self,
        manifest: Manifest,
        clip: Clip,
        directory: Path,
        views: int = 0,
        view: View | None = None,
        references: ByCategory | None = None,
        stores: Sequence[FeatureStore] = (),
        viewed: object = None,
    ) -> None:
        self.name = manifest.dataset
        self.rows = manifest.trainable
        self.root = manifest.root
        self.clip = clip
        self.view = view if views else None
        self.per_picture = max(1, views)
        side = clip.image_size
        entries = len(self.rows) * self.per_picture
        self.stores = [*stores, FeatureStore(directory)]
        self.viewed = viewed
        self.references = References(manifest.root, references) if references else None
        self.labels = np.repeat([row.label for row in self.rows], self.per_picture)
        self.masks = np.zeros((entries, (side * side + 7) // 8), np.uint8)  # one bit a pixel
        if self.view is None:
            in_threads(self._read_mask, range(entries))

    def __len__(self) -> int:
        return len(self.rows)

    def _read_mask(self, entry: int) -> None:
        if mask := self.rows[entry].mask:
            self.masks[entry] = np.packbits(resize_mask_paper(self.root / mask, self.clip.image_size))

    def shuffled(self) -> Tensor:
        """Entries of one epoch: every picture once, in random order and one of its views (torch's generator)."""
        order = torch.randperm(len(self))
        if self.per_picture == 1:
            return order
        return order * self.per_picture + torch.randint(self.per_picture, order.shape)

    def encode(self, spec: FeatureSpec, batch: int, precision: str, resize_first: bool, others: Others = tuple) -> None:
        """Run the frozen image tower once over all entries and keep what `spec` names, on disk.

        others: what is read besides of pictures as they are (`stored_features`).
        """
        hashes = [row.pixel_hash for row in self.rows]
        one = Pass(self.clip, spec, precision, batch, resize_first, self.name, hashes)
        beside = {"masks": self.masks, "labels": self.labels} if self.view else {}
        if self.view:
            one, others = replace(one, views=self.per_picture, viewed=self.viewed), tuple
        kept = stored_features(self.stores, one, partial(self._batches, one), "encoding the source", beside, others)
        assert kept is not None  # the last of the stores has no budget
        self.features = kept
        if beside:
            self.masks, self.labels = (self.features.beside[name].array for name in beside)
        if self.references:
            self.references.encode(self.stores, one)

    def _batches(self, one: Pass) -> Batches:
        if self.view is not None:
            return self._views(self.view, one.batch)
        paths = [self.root / row.path for row in self.rows]
        return iterate_images(paths, self.clip.image_size, one.batch, one.resize_first)

    def _views(self, view: View, batch: int) -> Batches:
        """Batches of views as CLIP input, made in threads one batch ahead; masks and labels are kept on the way."""
        pending: deque[tuple[range, list[Future[np.ndarray]]]] = deque()
        entries = range(len(self.labels))
        with ThreadPoolExecutor(WORKERS) as pool:
            for start in range(0, len(entries), batch):
                where = entries[start : start + batch]
                pending.append((where, [pool.submit(self._make_view, view, entry) for entry in where]))
                if len(pending) > 1:
                    yield _finished(*pending.popleft())
            while pending:
                yield _finished(*pending.popleft())

    def _make_view(self, view: View, entry: int) -> np.ndarray:
        """Input [3, S, S] of one view; a function of the picture's path and the view's number alone."""
        picture, number = divmod(entry, self.per_picture)
        row, side = self.rows[picture], self.clip.image_size
        others = [partial(self._read, other) for other in self.rows if other.category == row.category and other.mask]
        generator = np.random.default_rng(derive_seed("view", row.path, number))
        sample = view(self._read(row), others, generator)
        mask = Image.fromarray(sample.mask.astype(np.uint8) * np.uint8(255))
        self.masks[entry] = np.packbits(np.asarray(mask.resize((side, side), Image.Resampling.BILINEAR)) > 127)
        self.labels[entry] = sample.label
        return to_input(Image.fromarray(sample.picture), side)

    def _read(self, row: Row) -> Sample:
        picture = read_image(self.root / row.path)
        height, width = picture.shape[:2]
        mask = np.zeros((height, width), dtype=bool)
        if row.mask:
            mask = read_mask(self.root / row.mask, (width, height), "nonzero")
        return Sample(picture, mask, row.label)

    def batch(self, entries: Sequence[int]) -> Batch:
        """These entries, on the device."""
        device, side = self.clip.device, self.clip.image_size
        pick = list(entries)
        rows = [self.rows[entry // self.per_picture] for entry in pick]
        bits = np.unpackbits(self.masks[pick], axis=1, count=side * side).reshape(-1, side, side)
        return Batch(
            features=self.features.get(pick, device),
            masks=torch.from_numpy(bits).to(device).float(),
            labels=torch.from_numpy(self.labels[pick]).to(device),
            names=[row.prompt_name for row in rows],
            references=self.references.draw(rows, device) if self.references else None,
        )


def _finished(where: range, inputs: Sequence[Future[np.ndarray]]) -> tuple[range, np.ndarray]:
    return where, np.stack([one.result() for one in inputs])
