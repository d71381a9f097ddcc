"""The column that no paper prints: how much a learner's numbers owe to the class names that it is told."""

from collections.abc import Mapping, Sequence
from typing import Any

from zsad.evaluation.leaderboard import SHORT
from zsad.evaluation.metrics.summaries import mean_of, sd_of
from zsad.evaluation.report.material import Material
from zsad.evaluation.report.tables import ABSENT, Table, Value

SIZES = {"score": "|Δ score|", "score_sd": "|Δ score| / sd"}
MEASURES = {**SIZES, **{metric: f"Δ {SHORT[metric]}" for metric in ("image_auroc", "pixel_auroc")}}
TOLD = {"object": "every class is called “object”", "other": "each class has the name of another one of its set"}


def class_names_tables(material: Material) -> list[Table]:
    """A table for each naming: changes of every learner, means over the datasets where the naming means something."""
    predicted = {naming for cell in material.cells for naming in cell["class_names"]}
    return [_table(naming, material) for naming in material.params.class_names if naming in predicted]


def _table(naming: str, material: Material) -> Table:
    found: dict[str, list[Mapping[str, Any]]] = {learner: [] for learner in material.learners}
    for cell in material.cells:
        if naming in cell["class_names"]:
            found[cell["learner"]].append(cell["class_names"][naming])
    rule = material.params.class_names[naming]
    told = TOLD[rule] if isinstance(rule, str) else "words of a table"
    rows = [_row(material.shown(learner), own) for learner, own in found.items() if own]
    return Table(f"{naming}: {told}", ["learner", *MEASURES.values()], rows)


def _row(shown: str, changes: Sequence[Mapping[str, Any]]) -> list[Value]:
    """Mean over datasets; spread of the seeds' own means over datasets, where all have the same seeds."""
    mean = mean_of([change["mean"] for change in changes], MEASURES)
    seeds = set.intersection(*(set(change["per_seed"]) for change in changes))
    sd = sd_of([mean_of([change["per_seed"][seed] for change in changes], MEASURES) for seed in seeds], MEASURES)
    count = f"{len(changes)} dataset{'s' * (len(changes) != 1)}"
    return [Value(shown, shown, count), *(_value(mean[name], sd[name], name not in SIZES) for name in MEASURES)]


def _value(value: float | None, spread: float | None, signed: bool) -> Value:
    if value is None:
        return Value(ABSENT)
    text = f"{value:+.3f}".replace("-", "−") if signed else f"{value:.3f}"
    return Value(text if spread is None else f"{text} ± {spread:.3f}", value)
