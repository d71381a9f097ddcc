"""A repository under Git and DVC with pictures, masks and predictions of one cell, to be predicted anew."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from dvc.repo import Repo

from tests.helpers.gate_cases import CELL_LIMITS, MEAN_LIMITS, commit_all
from tests.helpers.predictions import prediction_info
from zsad.config.params import load_params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.evaluation.score import score_cell
from zsad.inference.stored import PREDICTIONS, PredictionWriter

SIDE, GRID, NORMAL, KINDS = 32, 8, 20, ("dent", "hole")
PARAMS = f"""\
seeds: [0, 1, 2]
backbones: {{default: {{name: embedded, pretrained: embedded, image_size: 48}}}}
sources: {{}}
datasets: {{toy: {{path: x}}}}
learners: {{cops: {{}}}}
few_shot: {{}}
few_shot_of: {{}}
ensembles: {{}}
gate:
  cell: {json.dumps(CELL_LIMITS)}
  mean: {json.dumps(MEAN_LIMITS)}
"""
INFO = prediction_info(seeds=[0, 1, 2], n_images=1, grid=(GRID, GRID), upsample="bilinear", sigma=0.0)


def row(index: int) -> Row:
    """The first `NORMAL` pictures are normal; of the others, every second one is of each kind."""
    label = int(index >= NORMAL)
    kind = KINDS[index % 2] if label else ""
    name, mask = f"cup/{kind or 'good'}/{index:03}.png", f"cup/mask/{index:03}.png" if label else ""
    return Row(name, "cup", "cup", label, mask, "test", kind, SIDE, SIDE, "0")


def build(place: Path) -> Manifest:
    """Write params.yaml, 40 pictures with masks and a manifest into `place`, the current directory."""
    (place / "params.yaml").write_text(PARAMS)
    (place / ".gitignore").write_text("/data\n")
    rows = [row(index) for index in range(2 * NORMAL)]
    random = np.random.default_rng(0)
    for one in rows:
        picture = random.integers(90, 110, (SIDE, SIDE, 3), dtype=np.uint8)
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        mask[8:16, 8:16] = 255 * one.label
        for path, values in ((one.path, picture), (one.mask, mask)):
            if path:
                (place / "data/raw/toy" / path).parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(place / "data/raw/toy" / path), values)
    manifest = Manifest(
        dataset="toy",
        kind="folder",
        domain="toys",
        root=Path("data/raw/toy"),
        has_image_labels=True,
        has_pixel_labels=True,
        size=(SIDE, SIDE),
        mask_rule="gt127",
        hash="h",
        counts={},
        notes=(),
        rows=tuple(sorted(rows, key=lambda one: one.path)),
    )
    write_manifest(manifest)
    return manifest


def predict(manifest: Manifest, worse: float = 0.0, kinds: tuple[str, ...] = KINDS, chance: int = 0) -> None:
    """Predict and score: anomalous pictures stand out by 2 sd, those of `kinds` by `worse` less; maps alike.

    Seeds agree on what is hard. chance: another draw of all seeds.
    """
    info = replace(INFO, n_images=len(manifest.test))
    shared = np.random.default_rng(7).normal(size=info.n_images)
    height = np.array([2.0 * one.label - worse * (one.defect_type in kinds) for one in manifest.test])
    with PredictionWriter(PREDICTIONS / "cops/toy", info) as writer:
        for seed in info.seeds:
            random = np.random.default_rng([seed, chance])
            scores = height + shared + random.normal(size=info.n_images) * 0.1
            logits = random.normal(-2, 1, (info.n_images, GRID, GRID))
            logits[:, 2:4, 2:4] += height[:, None, None]
            writer.write(seed, 0, scores, logits)
    score_cell(load_params(), "cops", "toy")


def commit_predictions() -> None:
    """Put the predictions into DVC's cache, and everything else into Git."""
    Repo.init().close()
    Path("dvc.yaml").write_text("stages: {predict: {cmd: zsad predict cops toy, outs: [data/predictions/cops/toy]}}\n")
    with Repo() as repo:
        repo.commit("predict", force=True)
    commit_all()
