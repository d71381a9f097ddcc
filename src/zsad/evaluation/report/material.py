"""What a report is made from: result cells, and the predictions and pictures behind them as far as they are at hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from zsad.common.errors import UserError
from zsad.config.params import Params
from zsad.datasets.manifest import MANIFESTS, Manifest, load_manifest
from zsad.evaluation.results import CELLS, Cell, expected_cells, read_cell, shown_row
from zsad.inference.ensemble import RowPredictions, have_predictions, predictions_of

T = TypeVar("T")


class Stored(NamedTuple):
    """The predictions that a cell was made from, and the dataset that they were made on, whose pictures are here."""

    cell: Cell
    manifest: Manifest
    predictions: RowPredictions


@dataclass(frozen=True)
class Track:
    """Cells that compete: one number of shots, in the order of params.yaml; `scored` ones have metrics."""

    shots: int
    scored: list[Cell]

    @property
    def name(self) -> str:
        """As headings call it."""
        return f"{self.shots}-shot" if self.shots else "Zero-shot"

    @property
    def learners(self) -> list[str]:
        """Keys of its configurations."""
        return list(dict.fromkeys(cell["learner"] for cell in self.scored))

    @property
    def datasets(self) -> list[str]:
        """Datasets that at least one of them was scored on."""
        return list(dict.fromkeys(cell["dataset"] for cell in self.scored))

    @property
    def strict(self) -> "Track":
        """Without protocol `paper`, which may choose from the target and so competes with nobody."""
        return Track(self.shots, [cell for cell in self.scored if cell["protocol"] == "strict"])

    def of(self, learner: str) -> dict[str, Cell]:
        """{dataset: cell} of one configuration."""
        return {cell["dataset"]: cell for cell in self.scored if cell["learner"] == learner}

    def on(self, dataset: str) -> list[Cell]:
        """The cells of one dataset."""
        return [cell for cell in self.scored if cell["dataset"] == dataset]

    def shared(self, metric: str) -> list[str]:
        """Datasets on which every one of them has a value: means over other sets could not be compared."""
        known = {(cell["learner"], cell["dataset"]) for cell in self.scored if cell["mean"].get(metric) is not None}
        return [one for one in self.datasets if all((learner, one) in known for learner in self.learners)]


@dataclass(frozen=True)
class Material:
    """Everything that is at hand. Paths in `params` and of predictions are relative to the repository's root."""

    params: Params
    cells: list[Cell]
    absent: list[str]  # a line on everything that is missing or cannot be read
    manifests: dict[str, Manifest] = field(default_factory=dict)
    stored: dict[tuple[str, str], Stored] = field(default_factory=dict)  # of scored cells, as far as it is here

    @cached_property
    def tracks(self) -> list[Track]:
        """Zero-shot first, then by shots."""
        scored = [cell for cell in self.cells if not cell["reason"]]
        return [Track(n, [c for c in scored if c["shots"] == n]) for n in sorted({cell["shots"] for cell in scored})]

    @property
    def learners(self) -> list[str]:
        """Configurations with a scored cell, by track."""
        return [learner for track in self.tracks for learner in track.learners]

    @property
    def datasets(self) -> list[str]:
        """Datasets with a scored cell, in the order of params.yaml."""
        scored = {cell["dataset"] for cell in self.cells if not cell["reason"]}
        return [key for key in self.params.datasets if key in scored]

    @property
    def demo(self) -> list[str]:
        """Those of them that are drawn."""
        return [key for key in self.datasets if self.params.datasets[key].kind == "demo"]

    def shown(self, learner: str) -> str:
        """What tables call a configuration."""
        return shown_row(self.params.row(learner))

    def stored_on(self, dataset: str) -> list[Stored]:
        """Those of one dataset, in the order of the tables."""
        return [self.stored[key, dataset] for key in self.learners if (key, dataset) in self.stored]


def gather(params: Params, cells: Path = CELLS) -> Material:
    """Read the cells that params.yaml asks for, and what is here of data. What is missing is told, not raised."""
    absent: list[str] = []
    found = [_read(absent, read_cell, key, dataset, cells) for key, dataset in expected_cells(params)]
    present = [cell for cell in found if cell]
    known = [dataset for dataset in params.datasets if (MANIFESTS / dataset).is_dir()]
    manifests = {dataset: manifest for dataset in known if (manifest := _read(absent, load_manifest, dataset))}
    shown = {dataset for dataset, manifest in manifests.items() if _read(absent, _check_pictures, manifest)}
    stored = {}
    for cell in present:
        manifest = manifests.get(cell["dataset"])
        predictions = None if cell["reason"] else _read(absent, _predictions, cell)
        if cell["dataset"] in shown and manifest and predictions and manifest.hash == cell["dataset_hash"]:
            stored[cell["learner"], cell["dataset"]] = Stored(cell, manifest, predictions)
    return Material(params, present, absent, manifests, stored)


def _read(absent: list[str], read: Callable[..., T], *arguments: Any) -> T | None:
    """What `read` gives; None, and a line in `absent`, where it cannot."""
    try:
        return read(*arguments)
    except UserError as error:
        absent.append(str(error))
        return None


def _check_pictures(manifest: Manifest) -> bool:
    """True; a UserError where pictures are missing, as after a clone without `dvc pull`."""
    files = [manifest.root / name for row in manifest.test for name in (row.path, row.mask) if name]
    if missing := sum(not path.is_file() for path in files):
        raise UserError(f"{manifest.root}: {missing} pictures and masks of its manifest are not here; run `dvc pull`")
    return True


def _predictions(cell: Cell) -> RowPredictions | None:
    """The predictions that the cell was made from; None where they are not here, or are others by now."""
    if not have_predictions(cell["learner"], cell["dataset"]):
        return None
    predictions = predictions_of(cell["learner"], cell["dataset"])
    return predictions if predictions.hash == cell["prediction_hash"] else None
