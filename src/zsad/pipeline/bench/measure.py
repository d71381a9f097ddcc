"""All of it as one table to post: configuration by configuration, each beside its own tower and in turn with it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import torch
from tabulate import tabulate

from zsad.common.cpu import cores, processor
from zsad.common.progress import log
from zsad.common.timing import Times, Work, in_turn, ratios
from zsad.config.params import Params
from zsad.pipeline.bench.around import around
from zsad.pipeline.bench.counting import operations
from zsad.pipeline.bench.works import FLOOR, TOWER, Subject, bare, subject

PREDICTION, STEP, AROUND = "prediction", "training step", "beside the model"


@dataclass(frozen=True)
class Timing:
    """One row. ms: median of a picture; spread: half the distance of the quartiles over the median; batch: pictures.

    gflop: counted operations of a picture, in 10⁹; over_floor: median ratio to the tower with its V-V stream in the
    same rounds. None where that is no comparison.
    """

    what: str
    name: str
    batch: int
    ms: float
    spread: float
    gflop: float | None = None
    over_floor: float | None = None


@dataclass(frozen=True)
class Bench:
    """Rows, and what they were measured on."""

    environment: dict[str, Any]
    rows: Sequence[Timing]

    @property
    def markdown(self) -> str:
        """For a terminal or an issue."""
        table = [
            {
                "what": row.what,
                "": row.name,
                "batch": row.batch,
                "ms a picture": f"{row.ms:.2f}",
                "pictures a second": f"{1000 / row.ms:.1f}",
                "GFLOP a picture": f"{row.gflop:.2f}" if row.gflop else "",
                "over the floor": f"{row.over_floor:.2f}" if row.over_floor else "",
                "spread": f"{row.spread:.0%}",
            }
            for row in self.rows
        ]
        told = ", ".join(f"{name} {value}" for name, value in self.environment.items())
        return f"{tabulate(table, headers='keys', tablefmt='github', disable_numparse=True)}\n\n{told}\n"

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return {"environment": self.environment, "rows": [asdict(row) for row in self.rows]}


def bench(params: Params, keys: Sequence[str], batches: Sequence[int], rounds: int) -> Bench:
    """Time configurations of params.yaml (default: all but few-shot forms) with untrained weights."""
    chosen = [params.configuration(key) for key in keys or params.configurations]
    rows: list[Timing] = []
    clip = None
    for configuration in chosen:
        if configuration.of:
            log(f"{configuration.key}: reads a picture as {configuration.of} does; its few-shot part is not timed")
            continue
        one = subject(params, configuration)
        told = clip == (one.clip.sha256, one.clip.image_size)  # the same tower was timed with the one before
        clip = (one.clip.sha256, one.clip.image_size)
        for batch in batches:
            log(f"{one.key}: {batch} at once")
            rows += [row for row in _predictions(one, batch, rounds) if not told or row.name == one.key]
        rows += _step(one, rounds)
    side = params.backbone("default").image_size if "default" in params.backbones else chosen[0].backbone.image_size
    beside = in_turn(around(side), rounds)
    rows += [_timing(AROUND, name, 1, times) for name, times in beside.items()]
    order = (PREDICTION, STEP, AROUND)
    return Bench(_environment(params), sorted(rows, key=lambda row: (order.index(row.what), row.batch)))


def _predictions(one: Subject, batch: int, rounds: int) -> list[Timing]:
    works = {**bare(one.clip, batch, one.precision), one.key: one.prediction(batch)}
    found = in_turn(works, rounds, _settled)
    return [
        _timing(PREDICTION, name, batch, times, works[name], None if name == TOWER else ratios(times, found[FLOOR]))
        for name, times in found.items()
    ]


def _step(one: Subject, rounds: int) -> list[Timing]:
    step = one.step()
    if step is None:
        return []
    work, size = step
    return [_timing(STEP, one.key, size, in_turn({one.key: work}, rounds, _settled)[one.key], work)]


def _timing(
    what: str, name: str, batch: int, times: Times, counted: Work | None = None, over_floor: float | None = None
) -> Timing:
    gflop = operations(counted) / batch / 1e9 if counted else None
    return Timing(what, name, batch, 1000 * times.median / batch, times.spread, gflop, over_floor)


def _settled() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _environment(params: Params) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() and params.device != "cpu" else None
    backbones = {f"{one.name} at {one.image_size} px" for one in params.backbones.values()}
    return {
        "device": gpu or processor(),
        "threads": torch.get_num_threads(),
        "cores": cores(),
        "precision": params.precision,
        "CLIP": "; ".join(sorted(backbones)),
        "torch": torch.__version__,
        "zsad": metadata.version("zsad"),
    }
