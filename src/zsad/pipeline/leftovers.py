"""What is left of keys that params.yaml no longer has: DVC forgets a removed stage, but not its files.

Only places that stages write to are looked at, by the names that stages give. What DVC has in its cache stays there.
"""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from zsad.clip.weights import WEIGHTS
from zsad.config.params import Params
from zsad.datasets.catalogue import catalogue
from zsad.datasets.manifest import MANIFESTS
from zsad.datasets.places import RAW
from zsad.evaluation.results import CELLS
from zsad.inference.ensemble import ENSEMBLES
from zsad.inference.stored import PREDICTIONS
from zsad.tracking.journal import JOURNAL_DIR
from zsad.training.feature_store import FEATURES
from zsad.training.record import CHECKPOINTS, SCRATCH


def leftovers(params: Params, features: bool = False) -> list[Path]:
    """Files and folders of removed backbones, datasets, sources, configurations and ensembles, sorted.

    features: and all frozen features that cells share, which are computed again when they are needed.
    """
    return sorted([*_found(params), *([FEATURES] if features and FEATURES.is_dir() else [])])


def remove(found: Collection[Path]) -> None:
    """Delete them, and the folders that are empty then."""
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _found(params: Params) -> Iterator[Path]:
    configurations, datasets = set(params.configurations), set(params.datasets)
    yield from _others(WEIGHTS, params.backbones)
    yield from _others(RAW, datasets | catalogue().keys())  # `zsad fetch` brings published sets without a key
    yield from _others(MANIFESTS, datasets)
    for folder in (CHECKPOINTS, JOURNAL_DIR, SCRATCH / "train", SCRATCH / "adapt", PREDICTIONS):
        yield from _others(folder, configurations)
    yield from _others(ENSEMBLES, params.ensembles)
    yield from _others(CELLS, params.rows)
    for key in configurations:
        learned_from = datasets if key in params.adapted else set(params.sources)
        for folder in (CHECKPOINTS, JOURNAL_DIR):
            yield from _others(folder / key, learned_from)
        yield from _others(PREDICTIONS / key, datasets)
    for key in params.ensembles:
        yield from _others(ENSEMBLES / key, datasets)
    for key in params.rows:
        yield from _others(CELLS / key, datasets)


def _others(folder: Path, known: Collection[str]) -> Iterator[Path]:
    """What lies in a folder under another name than those known; hidden files are nobody's."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if path.stem not in known and not path.name.startswith("."))
