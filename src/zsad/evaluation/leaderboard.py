"""The leaderboard for people: one table a track, the settings that its numbers depend on, and what is left out."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.metrics.summaries import mean_of, sd_of
from zsad.evaluation.results import Cell

SHORT = {
    "image_auroc": "I-AUROC",
    "image_ap": "I-AP",
    "image_f1max": "I-F1-max",
    "pixel_auroc": "P-AUROC",
    "pixel_ap": "P-AP",
    "pixel_f1max": "P-F1-max",
    "pixel_aupro": "AUPRO",
}
INTERVALS = "95 % intervals over pictures (bootstrap within categories, seeds as they are):"


def markdown(cells: Sequence[Cell], demo: Collection[str], shown: Mapping[str, str]) -> str:
    """The page. demo: keys of drawn datasets; shown: what tables call each row."""
    cells = [{**cell, "shown": shown[cell["learner"]]} for cell in cells]
    scored = [cell for cell in cells if not cell["reason"]]
    parts = ["# Leaderboard", *_demo_note(scored, demo), *_settings(scored)]
    for shots in sorted({cell["shots"] for cell in scored}):
        members = [cell for cell in scored if cell["shots"] == shots]
        parts += [f"## {f'{shots}-shot' if shots else 'Zero-shot'}", _table(members), *_intervals(members)]
    return "\n\n".join([*parts, *_omissions(cells)]) + "\n"


def _demo_note(scored: Sequence[Cell], demo: Collection[str]) -> list[str]:
    drawn = sorted({cell["dataset"] for cell in scored} & set(demo))
    if not drawn:
        return []
    return [f"**Demo data** ({', '.join(drawn)}): procedurally drawn; not comparable with published numbers."]


def _settings(scored: Sequence[Cell]) -> list[str]:
    """What the numbers depend on, each stated once, per dataset where datasets differ."""
    if not scored:
        return ["No cell has metrics."]
    sizes = {cell["dataset"]: "{1} × {0} px".format(*cell["metrics"]["resolution"]) for cell in scored}
    limits = sorted({cell["metrics"]["aupro_fpr_limit"] for cell in scored})
    protocols = sorted({cell["protocol"] for cell in scored}, reverse=True)
    lines = [
        f"Protocol: {' and '.join(f'`{name}`' for name in protocols)}, as stated in each row"
        " (`strict`: nothing is chosen from the target; `paper`: the official inference with its traps).",
        f"Pixel metrics at {_stated_once(sizes)} (width × height), 8-connected regions, AUPRO up to a false-positive"
        f" rate of {', '.join(map(str, limits))}, normalised by it.",
        "Pooled over a category, unweighted mean over categories, then mean ± sample standard deviation over seeds.",
    ]
    return ["\n".join(f"- {line}" for line in lines)]


def _stated_once(values: dict[str, str]) -> str:
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{value} ({name})" for name, value in values.items())


def _table(members: Sequence[Cell]) -> str:
    """Rows by configuration, each followed by its mean over the datasets that every configuration was scored on."""
    learners = list(dict.fromkeys(cell["learner"] for cell in members))
    shared = _shared(members, len(learners))
    rows = []
    for key in learners:
        own = [cell for cell in members if cell["learner"] == key]
        rows += [_line(cell, cell["dataset"], cell["domain"], cell["mean"], cell["sd"]) for cell in own]
        if len(shared) > 1:
            mean, sd = over_datasets([cell for cell in own if cell["dataset"] in shared])
            sources = ", ".join(dict.fromkeys(cell["source"] for cell in own if cell["source"]))
            head = {**own[0], "source": sources}
            rows.append(_line(head, f"**mean of the {len(shared)} shared**", "", mean, sd))
    return str(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


def _intervals(members: Sequence[Cell]) -> list[str]:
    """Where the numbers would lie with other pictures of the same kind."""
    known = [cell for cell in members if cell["interval"]]
    rows = [
        {"learner": cell["shown"], "dataset": cell["dataset"]}
        | {short: _range(cell["interval"].get(metric)) for metric, short in SHORT.items()}
        for cell in known
    ]
    return [INTERVALS, str(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))] if rows else []


def _range(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else "{:.3f} to {:.3f}".format(*interval)


def _shared(members: Sequence[Cell], learners: int) -> set[str]:
    """Datasets with a row for every configuration: means over different sets would not be comparable."""
    count = Counter(cell["dataset"] for cell in members)
    return {dataset for dataset, times in count.items() if times == learners}


def over_datasets(cells: Sequence[Cell]) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """(mean, sd) of one configuration over datasets: the spread is that of the seeds' own means over datasets."""
    seeds = [seed for seed in cells[0]["per_seed"] if all(seed in cell["per_seed"] for cell in cells)]
    per_seed = [mean_of([cell["per_seed"][seed] for cell in cells], METRICS) for seed in seeds]
    return mean_of([cell["mean"] for cell in cells], METRICS), sd_of(per_seed, METRICS)


def _line(cell: Cell, dataset: str, domain: str, mean: dict[str, Any], sd: dict[str, Any]) -> dict[str, str]:
    head = {"learner": cell["shown"]}
    head |= {name: str(cell[name] or "–") for name in ("protocol", "source")}
    numbers = {short: _number(mean[metric], sd[metric]) for metric, short in SHORT.items()}
    return {**head, "dataset": dataset, "domain": domain, "seeds": str(len(cell["seeds"])), **numbers}


def _number(mean: float | None, sd: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.3f}" if sd is None else f"{mean:.3f} ± {sd:.3f}"


def _omissions(cells: Sequence[Cell]) -> list[str]:
    """What the table leaves out, and why."""
    lines = [
        f"{cell['learner']} on {cell['dataset']}: not applicable: {cell['reason']}" for cell in cells if cell["reason"]
    ]
    concerned: dict[tuple[str, str], list[str]] = {}  # the same for most learners: it follows from the labels
    for cell in cells:
        if cell["undefined"]:
            concerned.setdefault((cell["dataset"], _lacking(cell)), []).append(cell["learner"])
    for (dataset, lacking), learners in concerned.items():
        lines.append(f"{dataset}: undefined, and in no mean: {lacking} ({', '.join(learners)})")
    short: dict[tuple[int, str, str, str], list[str]] = {}
    for cell in cells:
        for category, values in cell["categories"].items():
            if reason := values.get("reason"):
                short.setdefault((cell["shots"], cell["dataset"], category, reason), []).append(cell["learner"])
    for (shots, dataset, category, reason), learners in short.items():
        lines.append(f"{shots}-shot on {dataset}: nothing for {category}: {reason} ({', '.join(learners)})")
    return ["Left out:\n\n" + "\n".join(f"- {line}" for line in lines)] if lines else []


def _lacking(cell: Cell) -> str:
    """`I-AUROC, I-AP in 2 of 15 categories`."""
    by_count: dict[int, list[str]] = {}
    for metric in METRICS:
        if count := cell["undefined"].get(metric):
            by_count.setdefault(count, []).append(SHORT[metric])
    total = len(cell["categories"])
    return "; ".join(f"{', '.join(names)} in {count} of {total} categories" for count, names in by_count.items())
