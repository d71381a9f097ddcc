"""Which checkpoints go to the model registry, and what is said about each."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsad.cells import CHECKPOINTS
from zsad.config import Params
from zsad.errors import UserError
from zsad.io import file_sha256
from zsad.trainings import Training, read_cells, target_means


@dataclass(frozen=True)
class Candidate:
    """A checkpoint to register, with all that is said about it."""

    training: Training
    seed: str
    targets: int
    cells: list[dict[str, Any]]

    @property
    def key(self) -> str:
        """Configuration, and name of the registered model."""
        return str(self.training.start["learner"])

    @property
    def tags(self) -> dict[str, str]:
        """What a version says of itself."""
        start = self.training.start
        means = {f"mean.{name}": f"{value:.4f}" for name, value in target_means(self.cells).items()}
        return {
            **{name: start[name] for name in ("protocol", "method", "source", "config_hash")},
            "checkpoint_sha256": self.training.checkpoints[self.seed],
            "dataset_hash": start["dataset"]["hash"],
            "seed": self.seed,
            "targets_served": str(self.targets),
            **means,
        }

    @property
    def file(self) -> Path:
        """The checkpoint."""
        return checkpoint_file(self.training, self.seed)


def checkpoint_file(training: Training, seed: str) -> Path:
    """Where the checkpoint of one seed lies."""
    return CHECKPOINTS / training.cell / f"seed_{seed}.safetensors"


def candidates(params: Params, trainings: list[Training]) -> list[Candidate]:
    """Each strict configuration's most used source: ties go to the one that comes first under `sources`."""
    found = []
    by_cell = {training.cell: training for training in trainings}
    for key in params.learners:
        configuration = params.configuration(key)
        if configuration.protocol != "strict":
            continue
        used = [configuration.source_for(params, dataset) for dataset in params.datasets]
        serves = Counter(s for s, dataset in zip(used, params.datasets, strict=True) if s != dataset)
        if not serves:
            continue
        source = max(params.sources, key=lambda name: serves[name])
        training = by_cell.get(f"{key}/{source}")
        if training is None:
            where = CHECKPOINTS / key / source / "checkpoint.json"
            raise UserError(f"{where}: no checkpoint to register; run `dvc repro train@{key}-{source}`")
        first = str(training.start["params"]["seeds"][0])
        found.append(Candidate(training, first, serves[source], read_cells(params, training)))
    return found


def check_files(training: Training) -> None:
    """Refuse a checkpoint file that is missing or not the one its record tells of."""
    for seed, digest in training.checkpoints.items():
        file = checkpoint_file(training, seed)
        if not file.is_file() or file_sha256(file) != digest:
            remedy = f"run `dvc repro -f train@{training.cell.replace('/', '-')}`"
            raise UserError(f"{file}: not the file that checkpoint.json beside it tells of; {remedy}")
