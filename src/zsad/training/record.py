"""checkpoint.json, the record of a train or adapt cell: what it is and which files it has. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, read_json, write_json

CHECKPOINTS = Path("data/checkpoints")
SCRATCH = Path("data/scratch")  # state of cells that were interrupted
RECORD = "checkpoint.json"


@dataclass(frozen=True)
class Record:
    """A cell of data/checkpoints: `source` is the auxiliary set it was trained on, or the target it was adapted to.

    files: sha256 of the checkpoint of each seed; unused: why there is none, with the first three fields alone.
    Of few-shot cells: shots, support (paths by seed and category), left_out (why categories have no model).
    imported: sha256 of the official file whose weights stand in for training.
    auxiliary: of a few-shot form, the set that its weights were trained on.
    """

    learner: str
    source: str
    config_hash: str = ""
    unused: str | None = None
    method: str = ""
    protocol: str = ""
    dataset_hash: str = ""
    trained: bool = True
    seeds: Sequence[int] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    backbone: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    shots: int | None = None
    support: Mapping[str, Any] | None = None
    left_out: Mapping[str, str] | None = None
    imported: str | None = None
    auxiliary: str | None = None

    @property
    def directory(self) -> Path:
        """Where the cell's files lie."""
        return CHECKPOINTS / self.learner / self.source

    @property
    def training_set(self) -> str | None:
        """The auxiliary set that it was trained on; None for untrained and few-shot methods, but for their forms."""
        if self.auxiliary:
            return self.auxiliary
        return self.source if self.trained and self.shots is None else None

    @property
    def header(self) -> dict[str, Any]:
        """What the file of every seed says as well: see `checkpoint.Header`."""
        names = ("learner", "method", "protocol", "source", "settings", "backbone", "config_hash", "dataset_hash")
        return {name: getattr(self, name) for name in (*names, *(["shots"] if self.shots else []))}

    def write(self, directory: Path) -> None:
        """Put the record into a cell's directory."""
        told = {name: value for name, value in asdict(self).items() if value is not None}
        if self.unused:
            told = {name: told[name] for name in ("learner", "source", "config_hash", "unused")}
        write_json(directory / RECORD, told)


def write_unused(record: Record) -> None:
    """A cell without checkpoints, whose record says why."""
    with atomic_directory(record.directory) as directory:
        record.write(directory)


def read_record(key: str, source: str) -> Record:
    """The record of a cell; UserError with the command that makes it when it is absent."""
    path = CHECKPOINTS / key / source / RECORD
    if not path.is_file():
        raise UserError(f"{path}: not found; run `zsad train` or `zsad adapt`, {key} {source}, or `dvc repro`")
    told = read_json(path)
    names = {field.name for field in fields(Record)}
    if not isinstance(told, dict) or not {"learner", "source"} <= told.keys() <= names:
        raise UserError(f"{path}: not written by this version of zsad; delete the directory and run `dvc repro`")
    return Record(**told)
