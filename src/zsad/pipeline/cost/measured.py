"""What trainings and predictions cost, as far as it was measured: from journals, and the runner's notes of stages."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from zsad.common.io import read_json
from zsad.config.params import Params
from zsad.evaluation.results import cell_path, read_cell
from zsad.pipeline.grid.expectations import SECONDS
from zsad.tracking.history import Training, read_trainings
from zsad.tracking.journal import journal_path

Rows = list[dict[str, Any]]


def training_cost(params: Params) -> Rows:
    """A row for the latest finished training of each cell; None stands for what was not measured."""
    rows = []
    for key in params.configurations:
        for source in params.datasets if key in params.adapted else params.sources:
            path = journal_path(key, source)
            ended = [one for one in read_trainings(path) if one.end] if path.is_file() else []
            rows += [_training(key, source, one) for one in ended[-1:]]
    return rows


def _training(key: str, source: str, training: Training) -> dict[str, Any]:
    speeds = [event["images_per_second"] for event in training.epochs.values() if "images_per_second" in event]
    return {
        "learner": key,
        "trained on": source,
        "seeds": len(training.checkpoints),
        "pictures": training.start["dataset"].get("n_images"),
        "seconds, all seeds": (training.end or {}).get("wall_seconds"),
        "pictures a second": median(speeds) if speeds else None,
        "peak memory, MiB": _peak(training, "rss_mib"),
        "peak GPU memory, MiB": _peak(training, "gpu_peak_mib"),
    }


def _peak(training: Training, name: str) -> float | None:
    return max((event[name] for event in training.system if name in event), default=None)


def prediction_cost(params: Params) -> Rows:
    """A row for each `predict` stage that `zsad repro` has timed."""
    known = read_json(SECONDS) if SECONDS.is_file() else {}
    return list(_predictions(params, known))


def _predictions(params: Params, known: dict[str, float]) -> Iterator[dict[str, Any]]:
    for key in params.configurations:
        for dataset in params.datasets:
            stages = ("predict", "predict_few_shot", "predict_adapted")  # a key stands in one of them
            seconds = next((known[n] for stage in stages if (n := f"{stage}@{key}-{dataset}") in known), None)
            if seconds and cell_path(key, dataset).is_file() and not (cell := read_cell(key, dataset))["reason"]:
                count = cell["n_images"] * len(cell["seeds"])
                yield {
                    "learner": key,
                    "dataset": dataset,
                    "pictures × seeds": count,
                    "seconds": seconds,
                    "pictures a second": count / seconds,
                }
