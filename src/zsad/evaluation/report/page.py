"""`zsad report`: everything gathered, drawn and put into one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from zsad.common.io import write_text
from zsad.common.progress import log, progress
from zsad.config.params import Params
from zsad.evaluation.leaderboard import SHORT
from zsad.evaluation.metrics.names import HEADLINES
from zsad.evaluation.report import charts, tables
from zsad.evaluation.report.class_names import class_names_tables
from zsad.evaluation.report.contents import contents
from zsad.evaluation.report.curves import Curve, read_curves, scores_by_label, stride
from zsad.evaluation.report.differences import draw_all, rank
from zsad.evaluation.report.figures import SERIES
from zsad.evaluation.report.gallery import galleries
from zsad.evaluation.report.material import Material, Track, gather
from zsad.evaluation.report.provenance import provenance
from zsad.evaluation.report.ranks import ranks
from zsad.evaluation.report.wording import TITLES, summary

DEFECT_METRICS = ("image_auroc", "pixel_auroc")
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Measured:
    """What others than evaluation know: rows on trainings and predictions, and lineage {name: value} of the code."""

    training: Rows = ()
    prediction: Rows = ()
    lineage: Mapping[str, str] = field(default_factory=dict)


def write_report(params: Params, out: Path, measured: Measured) -> Path:
    """Write the page to `out`; returns it. Missing parts make a shorter page that says what is missing."""
    write_text(out, page(gather(params), measured))
    log(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    return out


def page(material: Material, measured: Measured) -> str:
    """The page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("zsad.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(context(material, measured))


def context(material: Material, measured: Measured) -> dict[str, Any]:
    """What the template shows."""
    draws = draw_all(material, material.params.metrics)
    series = {learner: place for place, learner in enumerate(material.learners)}
    return {
        "material": material,
        "without_predictions": _without_predictions(material),
        "summary": summary(material, lambda track, metric, datasets: rank(track, metric, datasets, draws)),
        "tracks": [_track(track, material) for track in material.tracks],
        "ranks": [one for track in material.tracks for metric in HEADLINES if (one := ranks(track.strict, metric))],
        "published": tables.published_table(material),
        "legend": [(learner, place % SERIES) for learner, place in series.items()],
        "bars": _bars(material, series),
        "curves": _curves(material, series),
        "commit": measured.lineage.get("git.commit"),
        "parts_of": {part: _parts(material, part) for part in ("category", "defect")},
        "class_names": class_names_tables(material),
        "costs": _costs(measured),
        "galleries": galleries(material),
        "contents": contents(material),
        "provenance": provenance(material, measured.lineage),
        "short": {SHORT[metric]: title for metric, title in TITLES.items()},
        "omissions": [f"{c['learner']} on {c['dataset']}: {c['reason']}" for c in material.cells if c["reason"]],
    }


def _without_predictions(material: Material) -> list[str]:
    """Scored cells whose predictions are not here."""
    names = [(cell["learner"], cell["dataset"]) for cell in material.cells if not cell["reason"]]
    return [f"{learner} on {dataset}" for learner, dataset in names if (learner, dataset) not in material.stored]


def _track(track: Track, material: Material) -> dict[str, Any]:
    every = [tables.datasets_table(track, dataset, material) for dataset in track.datasets]
    return {"name": track.name, "means": tables.means_table(track, material), "datasets": every}


def _bars(material: Material, series: Mapping[str, int]) -> list[tuple[str, list[tuple[str, Markup]]]]:
    """[(dataset, [(metric, chart)])]."""
    found = []
    for dataset in material.datasets:
        cells = [cell for track in material.tracks for cell in track.on(dataset)]
        drawn = [(TITLES[metric], charts.bars(cells, metric, series)) for metric in HEADLINES]
        found.append((dataset, [(title, chart) for title, chart in drawn if chart]))
    return found


def _curves(material: Material, series: Mapping[str, int]) -> list[dict[str, Any]]:
    """Curves and histograms of each dataset that has predictions."""
    found = []
    datasets = [dataset for dataset in material.datasets if material.stored_on(dataset)]
    for dataset in progress(datasets, len(datasets), "curves"):
        stored = material.stored_on(dataset)
        read: dict[str, dict[str, Curve]] = {one.cell["learner"]: read_curves(one) for one in stored}
        drawn = [(charts.AXES[kind][0], charts.curves(read, kind, dataset, series)) for kind in charts.AXES]
        scores = {one.cell["learner"]: scores_by_label(one) for one in stored}
        histograms = [(learner, charts.histogram(learner, dataset, *both)) for learner, both in scores.items()]
        shown = [(title, chart) for title, chart in drawn if chart]
        every = max(map(stride, stored))
        found.append({"dataset": dataset, "curves": shown, "histograms": histograms, "every": every})
    return found


def _parts(material: Material, part: str) -> list[tuple[str, list[tables.Table]]]:
    metrics = DEFECT_METRICS if part == "defect" else HEADLINES
    found = [(d, [tables.parts_table(material, d, metric, part) for metric in metrics]) for d in material.datasets]
    return [(dataset, [one for one in some if one]) for dataset, some in found if any(some)]


def _costs(measured: Measured) -> list[tables.Table]:
    training = tables.cost_table("Training, the latest of each", measured.training)
    prediction = tables.cost_table("Scoring, whole stages", measured.prediction)
    return [table for table in (training, prediction) if table]
