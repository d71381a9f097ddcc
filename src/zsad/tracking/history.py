"""What files tell of a training and its results, to be replayed: journals, checkpoints, result files."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from zsad.common.errors import UserError
from zsad.common.io import content_hash
from zsad.config.params import Params
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.metrics.summaries import mean_of
from zsad.evaluation.results import cell_path, read_cell
from zsad.tracking.journal import journal_path, read_events
from zsad.training.record import CHECKPOINTS, RECORD, Record, read_record

MAX_PARAM_CHARS = 500
MAX_KEY_CHARS = 250


class Point(NamedTuple):
    """One measurement of a run; time in ms since 1970."""

    name: str
    value: float
    time: int
    step: int


@dataclass
class Training:
    """One training of a cell: from its start, over kills and resumptions, to its end if it got there."""

    start: dict[str, Any]
    started: int
    epochs: dict[tuple[str, int, int], dict[str, Any]] = field(default_factory=dict)  # by category, seed, epoch
    system: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None

    @property
    def cell(self) -> str:
        """Name of the train or adapt cell: `KEY/SOURCE`, `KEY/TARGET`."""
        return f"{self.start['learner']}/{self.start['source']}"

    @property
    def checkpoints(self) -> dict[str, str]:
        """sha256 of the checkpoint of each seed; empty while the training has not ended."""
        return {str(seed): digest for seed, digest in self.end["checkpoints"].items()} if self.end else {}

    @property
    def content(self) -> str:
        """Identity of a finished training: its cell, parameters and checkpoints; empty while it has not ended."""
        if self.end is None:
            return ""
        return content_hash([self.cell, self.start["config_hash"], self.checkpoints])

    @property
    def identity(self) -> str:
        """Two trainings of the same identity are one."""
        return self.content or self.digest

    @property
    def digest(self) -> str:
        """Hash of everything known of this training: changes whenever there is more to tell."""
        epochs = [self.epochs[key] for key in sorted(self.epochs)]
        return content_hash([self.start, self.started, epochs, self.system, self.end])

    def points(self) -> Iterator[Point]:
        """Losses and speed by epoch as `seed_<N>/…`, load by sample as `system/…`, each at the time of its event.

        Those of a few-shot configuration, which has a model for each category, as `<category>/seed_<N>/…`.
        """
        for (category, seed, epoch), event in sorted(self.epochs.items()):
            speed = {"epoch_seconds": event["seconds"]}
            if "images_per_second" in event:
                speed["images_per_second"] = event["images_per_second"]
            prefix = f"{category}/seed_{seed}" if category else f"seed_{seed}"
            for name, value in {**event["losses"], **speed}.items():
                yield Point(_key(f"{prefix}/{name}"), float(value), event["time"], epoch)
        for step, event in enumerate(self.system):
            for name in sorted(event.keys() - {"event", "time"}):
                yield Point(_key(f"system/{name}"), float(event[name]), event["time"], step)
        if self.end is not None and "wall_seconds" in self.end:
            yield Point("wall_seconds", float(self.end["wall_seconds"]), self.end["time"], 0)


def read_trainings(path: Path) -> list[Training]:
    """The trainings that a journal tells of, oldest first.

    A `start` after an `end`, or with other parameters or data than before, begins a new one; else it resumes the last.
    An epoch that was run again replaces the older one. Of trainings with the same result the first counts.
    """
    found: list[Training] = []
    for event in read_events(path):
        if event["event"] == "start":
            if found and _resumes(found[-1], event):
                found[-1].start = event
            else:
                found.append(Training(start=event, started=event["time"]))
        elif not found:
            raise UserError(f"{path}: does not begin with a `start` event; delete it and run the training again")
        elif event["event"] == "epoch":
            found[-1].epochs[event.get("category", ""), event["seed"], event["epoch"]] = event
        elif event["event"] == "system":
            found[-1].system.append(event)
        elif event["event"] == "end":
            found[-1].end = event
    return list({training.identity: training for training in reversed(found)}.values())[::-1]


def current_trainings(params: Params) -> Iterator[Training]:
    """The trainings whose checkpoints are on disk, told without losses."""
    for key in params.configurations:
        for source in params.datasets if key in params.adapted else params.sources:
            file = CHECKPOINTS / key / source / RECORD
            if file.is_file() and not (record := read_record(key, source)).unused:
                time_ms = file.stat().st_mtime_ns // 1_000_000
                yield Training(_start_of(record), time_ms, end={"checkpoints": dict(record.files), "time": time_ms})


def journalled(trainings: Iterable[Training]) -> Iterator[Training]:
    """The same trainings as their journals tell of them, with times and losses; without a journal as they are."""
    for training in trainings:
        path = journal_path(training.start["learner"], training.start["source"])
        told = read_trainings(path) if path.is_file() else []
        yield next((one for one in told if one.content == training.content), training)


def read_cells(params: Params, training: Training) -> list[dict[str, Any]]:
    """The result files of the present datasets that came from this very training; untrained methods have no source.

    What was adapted to a dataset has results on that dataset alone.
    """
    start = training.start
    served = [start["source"]] if start.get("shots") else params.datasets
    present = [name for name in served if cell_path(start["learner"], name).is_file()]
    cells = [read_cell(start["learner"], name) for name in present]
    own = [cell for cell in cells if cell["source"] in (None, start["source"])]
    return [cell for cell in own if cell["config_hash"] == start["config_hash"] and measured(cell)]


def measured(cell: dict[str, Any]) -> dict[str, float]:
    """Metrics of a cell that have a value: means over seeds, in [0,1]."""
    return {name: value for name, value in cell["mean"].items() if value is not None}


def target_means(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Unweighted mean of each metric over the target datasets on which it has a value."""
    means = mean_of([cell["mean"] for cell in cells], METRICS)
    return {name: value for name, value in means.items() if value is not None}


def _start_of(record: Record) -> dict[str, Any]:
    """A `start` event, as far as checkpoint.json knows it."""
    return {
        **{name: getattr(record, name) for name in ("learner", "source", "method", "protocol", "config_hash")},
        **({"shots": record.shots} if record.shots else {}),
        "params": {
            "seeds": list(record.seeds),
            "backbone": record.backbone,
            **record.settings,
            **({"imported": record.imported} if record.imported else {}),
        },
        "tags": {"zsad.rebuilt": "from checkpoint.json"},
        "dataset": {"name": record.source, "hash": record.dataset_hash},
    }


def flatten(params: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as `outer.inner` → text, cut to what every MLflow store takes."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[_key(f"{prefix}{name}")] = cut(str(value), MAX_PARAM_CHARS)
    return flat


def cut(text: str, limit: int) -> str:
    """`text`, shortened to at most `limit` characters with an ellipsis as the last."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _key(name: str) -> str:
    return re.sub(r"[^\w\-./ ]", "_", name)[:MAX_KEY_CHARS]


def _resumes(last: Training, start: dict[str, Any]) -> bool:
    same = all(last.start[name] == start[name] for name in ("learner", "source", "config_hash"))
    return same and last.end is None and last.start["dataset"]["hash"] == start["dataset"]["hash"]
