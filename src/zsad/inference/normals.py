"""Scores of a folder of pictures that are all normal, or all anomalous: what a threshold is made of and judged by."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from zsad.common.errors import UserError
from zsad.common.io import read_json
from zsad.common.progress import progress
from zsad.datasets.images import WORKERS
from zsad.datasets.integrity import pixel_hash
from zsad.datasets.leaks import PICTURES
from zsad.datasets.listing import list_images
from zsad.inference.maps import Floats
from zsad.inference.model import Predictor
from zsad.inference.pictures.decoding import decode_ahead
from zsad.inference.pictures.opening import PICTURE_SUFFIXES
from zsad.inference.pictures.sources import Source

SHOWN = 10  # files in a message before it says how many more


@dataclass(frozen=True)
class Scores:
    """Of n pictures, in order of their paths: score [n] and largest value of the map [n], all in [0, 1].

    left_out: pictures that the model has learned from, which are no pictures of tomorrow.
    copies: pictures with the pixels of an earlier one, which are among the n.
    """

    paths: Sequence[Path]
    scores: Floats
    peaks: Floats
    left_out: Sequence[Path] = ()
    copies: Sequence[Path] = ()


def pictures_in(folder: Path) -> list[Path]:
    """All pictures below a folder, sorted; UserError when there are none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    if not (names := list_images(folder, PICTURE_SUFFIXES)):
        raise UserError(f"{folder}: no pictures there ({', '.join(PICTURE_SUFFIXES)})")
    return [folder / name for name in names]


def score_folder(
    predictor: Predictor,
    folder: Path,
    label: str,
    prompt_name: str | None = None,
    category: str | None = None,
    seen: frozenset[str] = frozenset(),
    bits: int | None = None,
) -> Scores:
    """Score every picture below a folder, in batches. label: for the progress line; seen: hashes of `learned_from`.

    bits: how many are in use in pictures of 16 bits a channel (`pictures.depth`).

    A picture that cannot be read is a UserError that lists all of them: none may drop out of a calibration unnoticed.
    """
    found = _Found()
    pictures = _readable(pictures_in(folder), label, seen, bits, found)
    results = predictor.predict_batch(pictures, prompt_name=prompt_name, category=category)
    pairs = np.array([(result.score, result.map.max()) for result in results]).reshape(-1, 2)
    if bad := found.broken:
        raise UserError(f"{folder}: {len(bad)} pictures cannot be read; replace or remove them: {listed(bad)}")
    return Scores(found.taken, pairs[:, 0], pairs[:, 1], found.left_out, found.copies)


@dataclass(frozen=True)
class _Found:
    """What became of each picture; hashes: of all that were taken."""

    taken: list[Path] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    hashes: set[str] = field(default_factory=set)


def _readable(
    paths: list[Path], label: str, seen: frozenset[str], bits: int | None, found: _Found
) -> Iterator[Image.Image]:
    """The pictures to score, in order, decoded ahead."""
    sources = [Source(path, path) for path in paths]
    with ThreadPoolExecutor(WORKERS) as pool:
        for one in progress(decode_ahead(sources, pool, 2 * WORKERS, bits), len(paths), label):
            path = one.source.file
            if one.picture is None:
                found.broken.append(one.error)
                continue
            if (digest := pixel_hash(np.asarray(one.picture))) in seen:
                found.left_out.append(path)
                continue
            if digest in found.hashes:
                found.copies.append(path)
            found.hashes.add(digest)
            found.taken.append(path)
            yield one.picture


def learned_from(checkpoint: Path) -> frozenset[str]:
    """Pixel hashes of the pictures that a checkpoint was trained on or adapted to, where that stands beside it.

    As in `datasets.leaks`: of another copy of the same picture, resized, recompressed or turned, it is not known.
    """
    record = checkpoint.parent / PICTURES
    return frozenset(read_json(record)["pictures"].values()) if record.is_file() else frozenset()


def listed(names: Sequence[object]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{'; '.join(map(str, names[:SHOWN]))}{more}"
