"""Our cells beside published figures: metrics/vs_published.csv. Demo sets and own folders have none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zsad.config.params import Params
from zsad.datasets.catalogue import catalogue, entry_of
from zsad.evaluation.published.figures import Figure, figures
from zsad.evaluation.results import DIGITS, Cell

COLUMNS = (
    *("learner", "method", "protocol", "source", "dataset", "metric", "ours", "published", "gap"),
    *("published_source", "quoted"),
)


@dataclass(frozen=True)
class Beside:
    """One number of ours and a published one. gap = ours − published, None unless source and measure agree."""

    cell: Cell
    figure: Figure
    ours: float | None
    gap: float | None

    @property
    def row(self) -> dict[str, str | float | None]:
        """As in the CSV file."""
        cell, figure = self.cell, self.figure
        own = {name: cell[name] for name in ("learner", "method", "protocol", "source", "dataset")}
        numbers = {"metric": figure.metric, "ours": self.ours, "published": figure.value, "gap": self.gap}
        return {**own, **numbers, "published_source": figure.source.label, "quoted": figure.quoted}


def beside(params: Params, cells: Iterable[Cell], published: Sequence[Figure] | None = None) -> list[Beside]:
    """Of every cell on a published set all figures for its method, shots and set."""
    sets = published_sets(params)
    return [
        _beside(cell, figure, sets)
        for cell in cells
        if cell["dataset"] in sets and not cell["reason"]
        for figure in (figures() if published is None else published)
        if (figure.method, figure.shots) == (cell["method"], cell["shots"]) and figure.dataset == sets[cell["dataset"]]
    ]


def published_sets(params: Params) -> dict[str, str]:
    """{key of params.yaml: id in the catalogue} of the sets that are what the catalogue says, counts and all."""
    found = {}
    for key, block in params.datasets.items():
        if block.kind == "official":
            identifier, entry = entry_of(key, block)
            if catalogue().get(identifier) == entry:  # an entry of one's own may bear the name of another curation
                found[key] = identifier
    return found


def _beside(cell: Cell, figure: Figure, sets: dict[str, str]) -> Beside:
    ours = cell["mean"][figure.metric]
    agree = figure.trained_on == (sets.get(cell["source"], "") if cell["source"] else None) and _same(figure, cell)
    gap = None if ours is None or not agree else round(ours - figure.value, DIGITS)
    return Beside(cell, figure, ours, gap)


def _same(figure: Figure, cell: Cell) -> bool:
    """Whether the number is measured alike, over all categories."""
    if cell["undefined"].get(figure.metric):
        return False
    if figure.measure == "pixels_518":
        return list(cell["metrics"]["resolution"]) == [518, 518]
    return figure.measure == "image"
