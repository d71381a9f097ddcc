"""What `predict` writes and `score` reads: image scores and anomaly maps, one safetensors file per seed.

Files are written and read image by image, so memory does not grow with the number of images. The safetensors
layout is public: 8 bytes header length (little endian), a JSON header, then the tensors at the offsets it states.
"""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from zsad.common.errors import UserError
from zsad.common.io import (
    METADATA_KEY,
    atomic_directory,
    canonical_json,
    content_hash,
    file_sha256,
    read_json,
    write_json,
)
from zsad.inference.maps import UPSAMPLE_MODES, Codes, Floats, encode_logits, full_map

if TYPE_CHECKING:
    from zsad.learners.base import Upsample

PREDICTIONS = Path("data/predictions")
INFO_FILE = "prediction.json"
SCORE_BYTES, CODE_BYTES = 8, 2


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Of what the predictions of one row on one dataset are; images are `manifest.test` in order.

    reason: why they have no meaning on this dataset; there are no tensors then;
    left_out: why a few-shot configuration could not be adapted to these categories; their scores and maps mean nothing.
    """

    learner: str
    method: str
    protocol: str
    source: str | None
    shots: int
    dataset: str
    domain: str
    seeds: list[int]
    n_images: int
    config_hash: str
    dataset_hash: str
    reason: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PredictionInfo(Provenance):
    """What the stored predictions of one configuration on one dataset are.

    grid: stored (h, w) of a map; upsample: how it grows to full size; sigma: σ as a fraction of the image side;
    image_top: by category ("" = any other) the share of a map's pixels whose mean `score` mixes into the image score,
    as some official metrics do over a whole category (protocol `paper`); None = scores stand as they are.
    """

    grid: tuple[int, int]
    upsample: str
    sigma: float
    image_top: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if self.upsample not in UPSAMPLE_MODES:
            raise ValueError(f"upsample: {self.upsample!r} is not one of {', '.join(UPSAMPLE_MODES)}")
        if self.reason is None and min(self.n_images, len(self.seeds), *self.grid) < 1:
            raise ValueError(f"predictions of {self.learner} on {self.dataset}: no images, seeds or grid")


@dataclass(frozen=True)
class _Layout:
    """Byte layout of one seed's file: header, then scores F64 [n], then maps U16 [n,h,w]."""

    n: int
    grid: tuple[int, int]
    metadata: str

    @functools.cached_property
    def header(self) -> bytes:
        scores, maps = self.n * SCORE_BYTES, self.n * self.map_bytes
        text = canonical_json(
            {
                "__metadata__": {METADATA_KEY: self.metadata},
                "scores": {"dtype": "F64", "shape": [self.n], "data_offsets": [0, scores]},
                "maps": {"dtype": "U16", "shape": [self.n, *self.grid], "data_offsets": [scores, scores + maps]},
            }
        ).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    @property
    def map_bytes(self) -> int:
        return self.grid[0] * self.grid[1] * CODE_BYTES

    def score_offset(self, image: int) -> int:
        return len(self.header) + image * SCORE_BYTES

    def map_offset(self, image: int) -> int:
        return self.score_offset(self.n) + image * self.map_bytes


def _layout(info: PredictionInfo, seed: int) -> _Layout:
    metadata = {"format": 1, "learner": info.learner, "dataset": info.dataset, "seed": seed}
    return _Layout(info.n_images, info.grid, canonical_json(metadata))


def seed_file(directory: Path, seed: int) -> Path:
    """Where the tensors of one seed lie."""
    return directory / f"seed_{seed}.safetensors"


class PredictionWriter:
    """Context manager; the directory appears, whole, when the block ends well, and not at all otherwise."""

    def __init__(self, directory: Path, info: PredictionInfo) -> None:
        self.directory, self.info = directory, info
        self._layouts = {seed: _layout(info, seed) for seed in info.seeds}
        self._offsets = {seed: len(layout.header) for seed, layout in self._layouts.items()}
        self._written = {seed: np.zeros(info.n_images, dtype=bool) for seed in info.seeds}
        self._files: dict[int, BinaryIO] = {}
        self._context = self._opened()
        self.folder = directory  # while the block runs: where the files are before they appear

    def __enter__(self) -> "PredictionWriter":
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)

    def write(self, seed: int, start: int, scores: NDArray[np.floating], logits: NDArray[np.floating]) -> None:
        """Images `start`…`start`+b of one seed: scores [b] and maps as log-odds [b,h,w]. Any order of batches."""
        count = len(scores)
        if logits.shape != (count, *self.info.grid) or start < 0 or start + count > self.info.n_images:
            raise ValueError(f"write at {start}: scores {scores.shape} and maps {logits.shape} do not fit {self.info}")
        if not np.isfinite(scores).all() or np.isnan(logits).any():
            raise UserError(
                f"{self.directory}: seed {seed}, images {start}–{start + count - 1}: a score or map is not a number; "
                f"train `{self.info.learner}` again or set precision: fp32 in params.yaml"
            )
        file, layout = self._files[seed], self._layouts[seed]
        file.seek(layout.score_offset(start))
        file.write(np.asarray(scores, dtype="<f8").tobytes())
        file.seek(layout.map_offset(start))
        file.write(encode_logits(logits).astype("<u2", copy=False).tobytes())
        self._written[seed][start : start + count] = True

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        with atomic_directory(self.directory) as directory:
            self.folder = directory
            with contextlib.ExitStack() as stack:
                for seed, layout in self._layouts.items():
                    file = stack.enter_context(seed_file(directory, seed).open("wb"))
                    file.write(layout.header)
                    file.truncate(layout.map_offset(layout.n))
                    self._files[seed] = file
                yield
            self._finish(directory)

    def _finish(self, directory: Path) -> None:
        for seed, done in self._written.items():
            if not done.all():
                raise RuntimeError(f"{self.directory}: seed {seed}: {int((~done).sum())} images were never written")
        digests = {str(seed): file_sha256(seed_file(directory, seed)) for seed in self.info.seeds}
        write_json(directory / INFO_FILE, {**asdict(self.info), "files": digests})


def write_not_applicable(directory: Path, info: PredictionInfo) -> None:
    """Records why there are no predictions (`info.reason`)."""
    if not info.reason:
        raise ValueError("write_not_applicable needs info.reason")
    with atomic_directory(directory) as temporary:
        write_json(temporary / INFO_FILE, {**asdict(info), "files": {}})


@dataclass(frozen=True)
class Predictions:
    """Predictions on disk. Nothing is held in memory: each call reads what it returns."""

    directory: Path
    info: PredictionInfo
    hash: str  # of the tensors of all seeds, or of the reason why there are none
    _layouts: dict[int, _Layout]

    @classmethod
    def open(cls, directory: Path) -> "Predictions":
        """Check the directory's files against prediction.json; UserError when something is missing or cut short."""
        stored = read_json(directory / INFO_FILE)
        info = _parse(directory / INFO_FILE, stored)
        if info.reason is not None:
            return cls(directory, info, content_hash({"reason": info.reason}), {})
        layouts = {seed: _layout(info, seed) for seed in info.seeds}
        for seed, layout in layouts.items():
            _check(seed_file(directory, seed), layout)
        return cls(directory, info, content_hash(stored["files"]), layouts)

    def scores(self, seed: int) -> Floats:
        """Image scores [n], higher = more anomalous."""
        layout = self._layouts[seed]
        path = seed_file(self.directory, seed)
        return np.fromfile(path, dtype="<f8", count=layout.n, offset=layout.score_offset(0))

    def map_codes(self, seed: int, image: int) -> Codes:
        """Log-odds codes [h,w] of one image, as they are stored."""
        layout = self._layouts[seed]
        if not 0 <= image < layout.n:
            raise IndexError(f"image {image} of {layout.n}")
        path, (h, w) = seed_file(self.directory, seed), layout.grid
        return np.fromfile(path, dtype="<u2", count=h * w, offset=layout.map_offset(image)).reshape(h, w)

    def full_map(self, seed: int, image: int, size: tuple[int, int]) -> Floats:
        """Anomaly probabilities [H,W] of one image at `size` (height, width)."""
        mode: Upsample = self.info.upsample  # type: ignore[assignment]  # PredictionInfo admits no other
        return full_map(self.map_codes(seed, image), size, mode, self.info.sigma)

    @property
    def fuses_maps(self) -> bool:
        """Whether image scores are made with maps (`PredictionInfo.image_top`)."""
        return self.info.image_top is not None


def _parse(path: Path, stored: Any) -> PredictionInfo:
    names = {field.name for field in fields(PredictionInfo)}
    if not isinstance(stored, dict) or set(stored) != names | {"files"}:
        raise UserError(f"{path}: not written by this version of zsad; delete the directory and run `dvc repro`")
    try:
        h, w = stored["grid"]
        return PredictionInfo(**{**{name: stored[name] for name in names}, "grid": (int(h), int(w))})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}; delete the directory and run `dvc repro`") from error


def _check(path: Path, layout: _Layout) -> None:
    """The file has the header and the size that prediction.json promises."""
    header = layout.header
    if not path.is_file():
        raise UserError(f"{path}: not found; run `dvc repro` to produce it")
    with path.open("rb") as file:
        same = file.read(len(header)) == header
    if not same or path.stat().st_size != layout.map_offset(layout.n):
        raise UserError(f"{path}: cut short or changed since it was predicted; delete it and run `dvc repro`")
