"""A train or adapt cell while it runs: its lock, its scratch, its journal, and its files, which appear whole or not."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from zsad.common.code_digest import digest
from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, content_hash
from zsad.datasets.leaks import record_pictures
from zsad.datasets.manifest import Row
from zsad.learners.base import Learner
from zsad.training import checkpoint
from zsad.training.checkpoint import Header
from zsad.training.record import SCRATCH, Record

Report = Callable[..., None]  # report(event, **fields): training tells what happens, tracking listens


@dataclass(frozen=True)
class Cell:
    """What journal, checkpoint files and checkpoint.json say alike is its `record`; seen: what is learned from."""

    record: Record
    report: Report
    seen: Iterable[Row] = ()
    started: float = field(default_factory=time.monotonic)

    def announce(self, n_images: int, **params: Any) -> None:
        """The journal's `start`; `n_images`: how many pictures are learned from."""
        record = self.record
        self.report(
            "start",
            **{name: getattr(record, name) for name in ("learner", "source", "method", "protocol", "config_hash")},
            **({"shots": record.shots} if record.shots else {}),
            params={"seeds": list(record.seeds), "backbone": record.backbone, **record.settings, **params},
            dataset={"name": record.source, "hash": record.dataset_hash, "n_images": n_images},
        )

    @contextmanager
    def checkpoints(self) -> Iterator[Callable[..., None]]:
        """save(seed, learner or {category: learner}, folder="", **own fields of the header).

        folder: below the cell's, for models beside those that results are made with.
        """
        files: dict[str, str] = {}
        with atomic_directory(self.record.directory) as directory:

            def save(seed: int, learner: Learner | Mapping[str, Learner], folder: str = "", **own: Any) -> None:
                header = Header(**self.record.header, **own, seed=seed)
                saved = checkpoint.save(directory / folder / f"seed_{seed}.safetensors", learner, header)
                if not folder:
                    files[str(seed)] = saved

            yield save
            record_pictures(directory, self.record.auxiliary or self.record.source, self.seen)
            replace(self.record, files=files).write(directory)
        self.report("end", checkpoints=files, wall_seconds=time.monotonic() - self.started)


@contextmanager
def scratch_of(record: Record, stage: str) -> Iterator[Path]:
    """Where the state of an interrupted run waits: only the same cell, by the same code, resumes it.

    Emptied when the block ends well.
    """
    code = digest(f"zsad.training.{stage}", f"zsad.learners.{record.method}", apart=["zsad.config"])
    folder = SCRATCH / stage / record.learner / record.source
    yield folder / content_hash([record.header, record.seeds, record.support, code])
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def only_one(stage: str, key: str, source: str) -> Iterator[None]:
    """Hold the cell's lock file; a second process is told to wait."""
    path = SCRATCH / stage / key / f"{source}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise UserError(f"{path}: another process is training this cell; wait for it or stop it") from None
