"""The charts of a report: bars with intervals, curves, histograms of scores."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from zsad.evaluation.report.curves import Curve, Floats
from zsad.evaluation.report.figures import ANOMALOUS, FAINT, INK, NORMAL, colour, dash, drawing
from zsad.evaluation.report.wording import TITLES
from zsad.evaluation.results import Cell

CHANCE = {"image_auroc": 0.5, "pixel_auroc": 0.5}
WIDTH = 3.4  # inches of a chart; a phone shows it at its full width
BINS = 24
AXES = {
    "image_roc": ("Pictures: ROC", "false-positive rate", "true-positive rate"),
    "image_pr": ("Pictures: precision and recall", "recall", "precision"),
    "pixel_pr": ("Pixels: precision and recall", "recall", "precision"),
    "pixel_pro": ("Regions: PRO", "false-positive rate of pixels", "overlap with a region"),
}


def bars(cells: Sequence[Cell], metric: str, series: Mapping[str, int]) -> Markup | None:
    """One metric on one dataset: a bar a learner, with the 95 % interval over pictures; None where none has a value."""
    known = [cell for cell in cells if cell["mean"].get(metric) is not None]
    if not known:
        return None
    told = ", ".join(f"{cell['learner']} {cell['mean'][metric]:.3f}" for cell in known)
    with drawing(f"{TITLES[metric]} on {known[0]['dataset']}: {told}", WIDTH, 0.45 + 0.2 * len(known)) as chart:
        axes = chart.axes
        for place, cell in enumerate(known):
            value, interval = cell["mean"][metric], cell["interval"].get(metric)
            axes.barh(place, value, height=0.68, color=colour(series[cell["learner"]]), alpha=0.6)
            if interval:
                axes.plot(interval, [place, place], color=INK, linewidth=1.1, solid_capstyle="butt")
            axes.text(1.02, place, f"{value:.3f}", va="center")
        if metric in CHANCE:
            axes.axvline(CHANCE[metric], color=INK, linewidth=0.7, linestyle=(0, (2, 2)))
        axes.set(xlim=(0, 1), ylim=(len(known) - 0.5, -0.5), xticks=[0, 0.25, 0.5, 0.75, 1])
        axes.set_yticks(range(len(known)), [cell["learner"] for cell in known])
    return chart.svg


def curves(
    found: Mapping[str, Mapping[str, Curve]], kind: str, dataset: str, series: Mapping[str, int]
) -> Markup | None:
    """One kind of curve on one dataset, found {learner: {kind: curve}}; None where no learner has it."""
    known = {learner: kinds[kind] for learner, kinds in found.items() if kind in kinds}
    if not known:
        return None
    title, x, y = AXES[kind]
    with drawing(f"{title} on {dataset}, of {', '.join(known)}", WIDTH, 2.5) as chart:
        axes = chart.axes
        if kind == "image_roc":
            axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
        for learner, curve in known.items():
            line = {"color": colour(series[learner]), "linestyle": dash(series[learner])}
            axes.plot(curve.x, curve.y, linewidth=1.3, clip_on=False, **line)  # type: ignore[arg-type]
        axes.grid(visible=True)
        limit = max(curve.x[-1] for curve in known.values())
        axes.set(xlim=(0, limit), ylim=(0, 1), xlabel=x, ylabel=y)
    return chart.svg


def histogram(learner: str, dataset: str, normal: Floats, anomalous: Floats) -> Markup:
    """How scores of normal and anomalous pictures lie, each as shares of its pictures."""
    low, high = (float(f(np.concatenate([normal, anomalous]))) for f in (np.min, np.max))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    label = f"Scores of {learner} on {dataset}: median {_median(normal)} of normal, {_median(anomalous)} of anomalous"
    with drawing(f"{label} pictures", 1.7, 1.1) as chart:
        for scores, shade in ((normal, NORMAL), (anomalous, ANOMALOUS)):
            if len(scores):
                shares = np.histogram(scores, edges)[0] / len(scores)
                chart.axes.stairs(shares, edges, fill=True, color=shade, alpha=0.35)
                chart.axes.stairs(shares, edges, color=shade, linewidth=1)
        chart.axes.spines["left"].set_visible(False)
        chart.axes.set(yticks=[], xlim=(edges[0], edges[-1]))
        chart.axes.set_xticks([edges[0], edges[-1]], [f"{edges[0]:.2f}", f"{edges[-1]:.2f}"])
    return chart.svg


def _median(scores: Floats) -> str:
    return f"{np.median(scores):.3f}" if len(scores) else "none"
