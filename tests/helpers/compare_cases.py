"""Written predictions of several learners on several sets, for the tests of `zsad compare`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zsad.common.io import write_json
from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, Row, load_manifest, write_manifest
from zsad.evaluation.results import cell_path
from zsad.evaluation.score import score
from zsad.inference.stored import PREDICTIONS, PredictionInfo, Predictions, PredictionWriter, write_not_applicable

SIDE, GRID = 16, 4
CATEGORIES = ("cup", "nut")
LEARNERS = ("cops", "faprompt", "clip_zero")


def make_params(datasets: Sequence[str] = ("wood", "steel"), learners: Sequence[str] = LEARNERS) -> Params:
    return Params.model_validate(
        {
            "seeds": [0, 1],
            "backbones": {"default": {"name": "embedded", "pretrained": "embedded", "image_size": 48}},
            "sources": {},
            "datasets": {name: {"path": "x"} for name in datasets},
            "learners": {name: {} for name in learners},
            "gate": {"cell": {}, "mean": {}},
        }
    )


def write_set(dataset: str, pictures: int = 12) -> Manifest:
    """Two categories; every second picture is anomalous, its upper left quarter."""
    rows = [_row(dataset, category, index) for category in CATEGORIES for index in range(pictures)]
    facts: dict[str, Any] = {"kind": "folder", "domain": "toys", "mask_rule": "gt127", "counts": {}, "notes": ()}
    labels = {"has_image_labels": True, "has_pixel_labels": True}
    rows.sort(key=lambda row: row.path)
    write_manifest(
        Manifest(dataset, root=Path(dataset), **facts, **labels, size=(SIDE, SIDE), hash=dataset, rows=tuple(rows))
    )
    return load_manifest(dataset)


def _row(root: str, category: str, index: int) -> Row:
    label, mask = index % 2, ""
    if label:
        mask = f"{category}/mask/{index}.png"
        values = np.zeros((SIDE, SIDE), dtype=np.uint8)
        values[: SIDE // 2, : SIDE // 2] = 255
        (Path(root) / mask).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(Path(root) / mask), values)
    path = f"{category}/test/{'bad' if label else 'good'}/{index}.png"
    return Row(path, category, category, label, mask, "test", "bad" if label else "", SIDE, SIDE, "0")


def info(learner: str, dataset: str, **changes: Any) -> PredictionInfo:
    base = PredictionInfo(
        learner=learner,
        method=learner,
        protocol="strict",
        source="aux",
        shots=0,
        dataset=dataset,
        domain="toys",
        seeds=[0, 1],
        n_images=1,
        grid=(GRID, GRID),
        upsample="nearest",
        sigma=0.0,
        config_hash="c",
        dataset_hash=dataset,
    )
    return replace(base, **changes)


def write_predictions(manifest: Manifest, learner: str, strength: float, **changes: Any) -> Predictions:
    """Scores and maps that are noise plus `strength` where something is anomalous; noise is the learner's own."""
    told = info(learner, manifest.dataset, n_images=len(manifest.test), **changes)
    directory = PREDICTIONS / learner / manifest.dataset
    labels = np.array([row.label for row in manifest.test])
    with PredictionWriter(directory, told) as writer:
        for seed in told.seeds:
            rng = np.random.default_rng([seed, *f"{learner}/{manifest.dataset}".encode()])
            logits = rng.normal(0, 1, (len(labels), GRID, GRID))
            logits[labels == 1, : GRID // 2, : GRID // 2] += strength
            writer.write(seed, 0, rng.normal(0, 1, len(labels)) + strength * labels, logits)
    return Predictions.open(directory)


def write_grid(params: Params, strengths: Mapping[str, float], pictures: int = 12) -> None:
    """Sets, predictions and cells of all learners."""
    for dataset in params.datasets:
        manifest = write_set(dataset, pictures)
        for learner, strength in strengths.items():
            drawn = {"source": None, "seeds": [0]} if learner == "clip_zero" else {}
            write_cell(manifest, write_predictions(manifest, learner, strength, **drawn), params)


def write_cell(manifest: Manifest, predictions: Predictions, params: Params) -> None:
    write_json(cell_path(predictions.info.learner, manifest.dataset), score(predictions, manifest, params.metrics))


def write_nothing(manifest: Manifest, learner: str, params: Params) -> None:
    """A learner that is not applicable there."""
    told = info(learner, manifest.dataset, n_images=len(manifest.test), reason=f"{learner} is trained on it")
    write_not_applicable(PREDICTIONS / learner / manifest.dataset, told)
    write_cell(manifest, Predictions.open(PREDICTIONS / learner / manifest.dataset), params)
