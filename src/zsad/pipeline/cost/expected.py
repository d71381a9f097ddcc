"""What a run will cost, for a terminal or a file: its cells, counted, and their time at a machine's pace."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from rich.filesize import decimal
from tabulate import tabulate

from zsad.config.params import Params
from zsad.datasets.archives import published_size
from zsad.datasets.catalogue import entry_of, is_entry_file
from zsad.learners.lookup import check_settings
from zsad.pipeline.cost.cells import Cell, Grid, Stage
from zsad.pipeline.cost.pace import Pace


@dataclass(frozen=True)
class Expected:
    """archives: bytes of the datasets' archives by key, None where nobody publishes them."""

    cells: Sequence[Cell]
    archives: dict[str, int | None]
    pace: Pace

    @property
    def markdown(self) -> str:
        """A row a cell, and what all of them need."""
        return f"{tabulate(list(map(self._row, self.cells)), headers='keys', tablefmt='github')}\n\n{self._sums()}\n"

    def as_dict(self) -> dict[str, Any]:
        """For a file; seconds of each cell at this pace."""
        return {
            "pace": asdict(self.pace),
            "archives": self.archives,
            "cells": [{**asdict(cell), "seconds": self._seconds(cell)} for cell in self.cells],
        }

    def _seconds(self, cell: Cell) -> float:
        return self.pace.seconds(cell.flop, cell.calls)

    def _row(self, cell: Cell) -> dict[str, Any]:
        return {
            "stage": cell.stage,
            "learner": cell.learner,
            "on": cell.on,
            "pictures": cell.pictures,
            "TFLOP": f"{cell.flop / 1e12:.3g}",
            "operations": f"{cell.calls / 1e3:.0f} k",
            "memory": decimal(cell.memory),
            "scratch": decimal(cell.scratch) if cell.scratch else "",
            "kept": decimal(cell.kept),
            "time": _clock(self._seconds(cell)),
        }

    def _sums(self) -> str:
        flop, pictures = (sum(getattr(cell, name) for cell in self.cells) for name in ("flop", "pictures"))
        longest = max(self.cells, key=self._seconds)
        total, last = _clock(sum(map(self._seconds, self.cells))), _clock(self._seconds(longest))
        memory = decimal(max(cell.memory for cell in self.cells))
        return "\n".join(
            [
                f"work: {flop / 1e15:.3g} PFLOP; {pictures} pictures to decode",
                f"time: {total} in one process {self.pace.told}; the longest cell: {longest.stage} {longest.learner}"
                f" {longest.on}, {last}",
                f"disk: {'; '.join(self._disk())}",
                f"memory: {memory} a process, beside Python and its libraries",
            ]
        )

    def _disk(self) -> Iterator[str]:
        kept = {stage: sum(cell.kept for cell in self.cells if cell.stage == stage) for stage in get_args(Stage)}
        yield f"scratch {decimal(max(cell.scratch for cell in self.cells))} for the largest cell"
        yield f"checkpoints {decimal(kept['train'] + kept['adapt'])}"
        yield f"predictions {decimal(kept['predict'])}"
        if known := sum(size for size in self.archives.values() if size):
            yield f"archives of datasets {decimal(known)}"
        if unknown := [key for key, size in self.archives.items() if size is None]:
            yield f"archives of {', '.join(unknown)}, whose size is not published"


def expected(params: Params, keys: Sequence[str], pace: Pace) -> Expected:
    """Count the cells of these configurations, or of all."""
    check_settings(params)
    cells = list(Grid(params).cells(keys))
    entries = {
        key: entry_of(key, block)[1]
        for key, block in params.datasets.items()
        if block.kind == "official" and is_entry_file(block.path)
    }
    return Expected(cells, {key: published_size(entry) for key, entry in entries.items()}, pace)


def _clock(seconds: float) -> str:
    """Two units at most: 3 h 20 min, 4 min, 12 s."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
