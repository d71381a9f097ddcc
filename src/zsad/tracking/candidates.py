"""Which checkpoints go to the model registry, and what is said about each."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.config.params import Params
from zsad.tracking.history import Training, read_cells, target_means
from zsad.training.record import CHECKPOINTS


@dataclass(frozen=True)
class Candidate:
    """A checkpoint to register under a name, with all that is said about it.

    training: what its run tells of; cells: results of the present grid; tags: what the version says of itself.
    """

    name: str
    training: Training
    seed: str
    file: Path
    cells: list[dict[str, Any]]
    tags: dict[str, str]


def checkpoint_file(training: Training, seed: str) -> Path:
    """Where the checkpoint of one seed lies."""
    return CHECKPOINTS / training.cell / f"seed_{seed}.safetensors"


def candidates(params: Params, trainings: list[Training]) -> list[Candidate]:
    """Of each strict zero-shot configuration its most used source; of each few-shot one every target."""
    strict = [key for key in params.configurations if params.configuration(key).protocol == "strict"]
    by_cell = {training.cell: training for training in trainings}
    found = []
    for key in strict:
        if key in params.adapted:
            adapted = [by_cell[cell] for dataset in params.datasets if (cell := f"{key}/{dataset}") in by_cell]
            found += [_candidate(params, training, targets=1) for training in adapted]
        elif used := _most_used(params, key):
            source, targets = used
            if (training := by_cell.get(f"{key}/{source}")) is None:
                where = CHECKPOINTS / key / source / "checkpoint.json"
                raise UserError(f"{where}: no checkpoint to register; run `dvc repro train@{key}-{source}`")
            found.append(_candidate(params, training, targets))
    return found


def _candidate(params: Params, training: Training, targets: int) -> Candidate:
    start, seed, cells = training.start, str(training.start["params"]["seeds"][0]), read_cells(params, training)
    shots, official = start.get("shots", 0), start["params"].get("imported")
    tags = {
        **{name: start[name] for name in ("learner", "protocol", "method", "source", "config_hash")},
        "shots": str(shots),
        "checkpoint_sha256": training.checkpoints[seed],
        "dataset_hash": start["dataset"]["hash"],
        "seed": seed,
        "targets_served": str(targets),
        **({"imported": official} if official else {}),
        **{f"mean.{name}": f"{value:.4f}" for name, value in target_means(cells).items()},
    }
    name = f"{start['learner']}__{start['source']}" if shots else str(start["learner"])
    return Candidate(name, training, seed, checkpoint_file(training, seed), cells, tags)


def _most_used(params: Params, key: str) -> tuple[str, int] | None:
    """(source that serves most targets, how many): ties go to the one that comes first under `sources`."""
    configuration = params.configuration(key)
    used = [configuration.source_for(params, dataset) for dataset in params.datasets]
    serves = Counter(s for s, dataset in zip(used, params.datasets, strict=True) if s != dataset)
    if not serves:
        return None
    source = max(params.sources, key=lambda name: serves[name])
    return source, serves[source]


def check_files(training: Training) -> None:
    """Refuse a checkpoint file that is missing or not the one its record tells of."""
    for seed, digest in training.checkpoints.items():
        file = checkpoint_file(training, seed)
        if not file.is_file() or file_sha256(file) != digest:
            stage = "adapt" if training.start.get("shots") else "train"
            remedy = f"run `dvc repro -f {stage}@{training.cell.replace('/', '-')}`"
            raise UserError(f"{file}: not the file that checkpoint.json beside it tells of; {remedy}")
