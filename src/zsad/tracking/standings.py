"""What files tell of results, one `Standing` a row of params.yaml: its cells, what trained it, and its means."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from zsad.common.io import content_hash
from zsad.config.ensemble import Row
from zsad.config.params import Params
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.metrics.summaries import mean_of
from zsad.evaluation.results import Cell, cell_path, expected_cells, read_cell, rounded, shown_row
from zsad.tracking.history import Training, measured

LED = ("image_auroc", "pixel_auroc", "pixel_aupro")  # metrics by which the best one is named


@dataclass(frozen=True)
class Standing:
    """One configuration or ensemble: cells that have metrics, and the trainings that its checkpoints on disk came from.

    shared: the datasets that every configuration was scored on; means over anything else could not be compared.
    """

    row: Row
    cells: list[Cell]
    trainings: list[Training]
    shared: frozenset[str]

    @property
    def key(self) -> str:
        """Its name in params.yaml."""
        return self.row.key

    @property
    def shown(self) -> str:
        """Its name in tables, which says what is a reconstruction."""
        return shown_row(self.row)

    @property
    def track(self) -> str:
        """Zero-shot, or how many pictures of the target it has seen."""
        shots = self.row.shots
        return f"{shots}-shot" if shots else "zero-shot"

    @cached_property
    def digest(self) -> str:
        """Identity of the results: the same cells among the same shared datasets are the same run."""
        return content_hash([self.key, self.cells, sorted(self.shared)])

    @cached_property
    def metrics(self) -> dict[str, float]:
        """`all/…` and `domain/<domain>/…` over the shared datasets, `on/<dataset>/…`: in this order when sorted."""
        groups = {"all": [cell for cell in self.cells if cell["dataset"] in self.shared]}
        for cell in groups["all"]:
            groups.setdefault(f"domain/{cell['domain']}", []).append(cell)
        groups |= {f"on/{cell['dataset']}": [cell] for cell in self.cells}
        means = {name: rounded(mean_of([measured(cell) for cell in cells], METRICS)) for name, cells in groups.items()}
        return {f"{name}/{k}": v for name, values in means.items() for k, v in values.items() if v is not None}

    @property
    def domains(self) -> list[str]:
        """Domains of the shared datasets, sorted."""
        return sorted({cell["domain"] for cell in self.cells if cell["dataset"] in self.shared})


def read_standings(params: Params, trainings: Iterable[Training]) -> list[Standing]:
    """All rows that have results on disk, in the order of params.yaml."""
    there = [(key, dataset) for key, dataset in expected_cells(params) if cell_path(key, dataset).is_file()]
    scored = [cell for key, dataset in there if measured(cell := read_cell(key, dataset))]
    by_key = {key: own for key in params.rows if (own := [c for c in scored if c["learner"] == key])}
    covered = [{cell["dataset"] for cell in own} for own in by_key.values()]
    shared = frozenset(set.intersection(*covered)) if covered else frozenset()
    trained = list(trainings)
    return [
        Standing(params.row(key), own, [t for t in trained if t.start["learner"] == key], shared)
        for key, own in by_key.items()
    ]


def state_of(standings: Sequence[Standing]) -> str:
    """Identity of all results together: one state of the pipeline."""
    return content_hash([standing.digest for standing in standings])


def leaders(standings: Sequence[Standing]) -> Mapping[tuple[str, str], list[Standing]]:
    """{(metric with its group, track)}: configurations of protocol `strict`, the best first."""
    strict = [standing for standing in standings if standing.row.protocol == "strict"]
    groups = ["all", *(f"domain/{name}" for name in sorted({d for standing in strict for d in standing.domains}))]
    found = {}
    for track in dict.fromkeys(standing.track for standing in strict):
        for name in (f"{group}/{metric}" for group in groups for metric in LED):
            own = [standing for standing in strict if standing.track == track and name in standing.metrics]
            if own:
                found[name, track] = sorted(own, key=lambda standing: -standing.metrics[name])
    return found
