"""Pictures that a checkpoint has seen in training and that a target would score again: a leak.

The list is written beside the checkpoint when it is trained, so a prediction needs no other set's manifest. Pictures
are the same when their decoded pixels are; resized, cropped or recompressed copies go unnoticed.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import read_json, write_json
from zsad.common.progress import log
from zsad.config.params import Params
from zsad.datasets.manifest import FACTS_FILE, MANIFESTS, Manifest, Row, load_manifest

PICTURES = "pictures.json"
SHOWN = 10  # pairs in a message before it says how many more


def record_pictures(directory: Path, dataset: str, rows: Iterable[Row]) -> None:
    """Write `directory`/pictures.json: path → pixel hash of the pictures of `dataset` that were learned from.

    The source's trainable pictures, the support of a few-shot method (of all seeds), or none.
    """
    pictures = {row.path: row.pixel_hash for row in rows}
    write_json(directory / PICTURES, {"dataset": dataset, "pictures": pictures})


def check_leaks(checkpoint: Path, protocol: str, target: Manifest) -> None:
    """UserError under `strict` if a test picture of `target` was learned from; under `paper`, a line in the log.

    checkpoint: the directory that `record_pictures` wrote to.
    """
    seen: dict[str, Any] = read_json(checkpoint / PICTURES)
    source, shared = seen["dataset"], _shared(seen["pictures"], target)
    if not shared:
        return
    found = f"{checkpoint}: {_told(source, target.dataset, shared)}"
    if protocol == "paper":
        log(f"{found}; scored all the same under protocol paper")
        return
    raise UserError(
        f"{found}; remove them from one of the two, name another source for {target.dataset} in params.yaml, "
        "or give the configuration `protocol: paper`"
    )


def leak_notes(params: Params, own: Manifest, base: Path = MANIFESTS) -> Iterator[str]:
    """What a set shares with the sources (a source: with all sets) whose manifests are in `base`.

    For printing only: a manifest may not depend on which other sets happen to be there.
    """
    there = [name for name in params.datasets if name != own.dataset and (base / name / FACTS_FILE).is_file()]
    for other in (load_manifest(name, base) for name in there):
        if own.dataset in params.sources:
            yield from _overlap(own, other)
        if other.dataset in params.sources:
            yield from _overlap(other, own)


def _overlap(source: Manifest, target: Manifest) -> Iterator[str]:
    pictures = {row.path: row.pixel_hash for row in source.trainable}
    if shared := _shared(pictures, target):
        yield f"{_told(source.dataset, target.dataset, shared)}; `strict` refuses to score them"


def _shared(pictures: Mapping[str, str], target: Manifest) -> list[str]:
    """`seen path = path in target` of the test pictures that are among `pictures` (path → pixel hash)."""
    paths = {pixel_hash: path for path, pixel_hash in pictures.items()}
    return [f"{paths[row.pixel_hash]} = {row.path}" for row in target.test if row.pixel_hash in paths]


def _told(source: str, target: str, shared: list[str]) -> str:
    count = f"{len(shared)} test pictures" if len(shared) > 1 else "1 test picture"
    more = f" and {len(shared) - SHOWN} more" if len(shared) > SHOWN else ""
    return f"{count} of {target} seen in training on {source}: {', '.join(shared[:SHOWN])}{more}"
