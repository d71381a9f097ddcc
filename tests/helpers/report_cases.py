"""A small written grid for the tests of the report: pictures, masks, predictions, and the cells that they score to."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.evaluation.metrics.bootstrap import draw_pictures
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.score import score_cell
from zsad.inference.stored import PredictionInfo, PredictionWriter, write_not_applicable

SIDE, GRID = 24, 6
HOSTILE = "<script>alert(1)"
DATASETS = {"aux": "aux", "wood": "industrial", "retina": "medical"}
SHIFT = {"clip_zero": 0.5, "cops": 2.5, "cops_paper": 3.0, "apt_2shot": 1.0}  # how well each tells anomalous pictures
PARAMS = {
    "seeds": [0, 1],
    "backbones": {"default": {"name": "embedded", "pretrained": "embedded", "image_size": 48}},
    "sources": {"aux": {}},
    "datasets": {
        "aux": {"path": "x"},
        "wood": {"kind": "demo", "path": "src/zsad/datasets/demo.yaml"},
        "retina": {"path": "x"},
    },
    "learners": {"clip_zero": {}, "cops": {}, "cops_paper": {"method": "cops", "protocol": "paper"}},
    "few_shot": {"apt_2shot": {"method": "apt", "shots": 2}},
    "gate": {"cell": {}, "mean": {}},
}


def make_params() -> Params:
    return Params.model_validate(PARAMS)


@contextlib.contextmanager
def written_grid(place: Path) -> Iterator[Path]:
    """`place` with the grid in it, as the current directory; 40 draws of pictures in place of 1,000."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("zsad.evaluation.category.draw_pictures", partial(draw_pictures, draws=40))
        write_grid()
        yield place


def write_grid() -> None:
    """Everything below the current directory."""
    for dataset in ("wood", "retina"):
        manifest = write_pictures(dataset)
        for learner in SHIFT:
            write_predictions(learner, manifest)
            score_cell(make_params(), learner, dataset)
    aux = write_pictures("aux")
    for learner in SHIFT:
        write_not_applicable(
            Path("data/predictions") / learner / "aux", info_of(learner, aux, reason=f"{learner} is trained on aux")
        )
        score_cell(make_params(), learner, "aux")


def write_pictures(dataset: str) -> Manifest:
    """Two categories of four normal and four anomalous pictures, one category with a hostile name."""
    root = Path("data/raw") / dataset
    names = (HOSTILE, "plain") if dataset == "wood" else ("left", "right")
    rows = [_row(root, name, i) for name in names for i in range(8)]
    manifest = Manifest(
        dataset=dataset,
        kind="folder",
        domain=DATASETS[dataset],
        root=root,
        has_image_labels=True,
        has_pixel_labels=True,
        size=(SIDE, SIDE),
        mask_rule="gt127",
        hash=f"hash of {dataset}",
        counts={},
        notes=(f"a note on {dataset}",),
        rows=tuple(sorted(rows, key=lambda row: row.path)),
    )
    write_manifest(manifest)
    return manifest


def _row(root: Path, category: str, index: int) -> Row:
    anomalous = index >= 4
    kind = ("", "cut", "dent")[0 if not anomalous else 1 + index % 2]
    path = f"{category}/test/{kind or 'good'}/{index}.png"
    picture = np.full((SIDE, SIDE, 3), 90 + 10 * index, np.uint8)
    _write(root / path, picture)
    mask = ""
    if anomalous:
        mask = f"{category}/mask/{index}.png"
        _write(root / mask, np.pad(np.full((8, 8), 255, np.uint8), ((4, 12), (4, 12))))
    return Row(path, category, category, int(anomalous), mask, "test", kind, SIDE, SIDE, "0")


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def info_of(learner: str, manifest: Manifest, **changes: Any) -> PredictionInfo:
    few_shot = learner == "apt_2shot"
    values: dict[str, Any] = {
        "learner": learner,
        "method": {"cops_paper": "cops", "apt_2shot": "apt"}.get(learner, learner),
        "protocol": "paper" if learner == "cops_paper" else "strict",
        "source": None if few_shot or learner == "clip_zero" else "aux",
        "shots": 2 if few_shot else 0,
        "dataset": manifest.dataset,
        "domain": manifest.domain,
        "seeds": [0, 1],
        "n_images": len(manifest.test),
        "grid": (GRID, GRID),
        "upsample": "bilinear",
        "sigma": 0.02,
        "config_hash": "c",
        "dataset_hash": manifest.hash,
    }
    return PredictionInfo(**values | changes)


def write_predictions(learner: str, manifest: Manifest) -> None:
    info = info_of(learner, manifest)
    labels = np.array([row.label for row in manifest.test])
    with PredictionWriter(Path("data/predictions") / learner / manifest.dataset, info) as writer:
        for seed in info.seeds:
            random = np.random.default_rng([seed, len(learner), len(manifest.dataset)])
            logits = random.normal(-3, 2, (len(labels), GRID, GRID))
            logits[labels == 1, 1:3, 1:3] += 2 * SHIFT[learner]
            writer.write(seed, 0, random.normal(SHIFT[learner] * labels, 1.0), logits)


def make_cell(learner: str, dataset: str, value: float, sd: float = 0.01, se: float | None = 0.02) -> dict[str, Any]:
    """A cell by hand: every metric is `value` on average, `sd` up and down by seed; with standard errors or without."""
    seeds = {str(seed): dict.fromkeys(METRICS, value + sign * sd) for seed, sign in enumerate((-1, 0, 1))}
    return {
        "learner": learner,
        "method": learner,
        "protocol": "strict",
        "source": "aux",
        "shots": 0,
        "dataset": dataset,
        "domain": "industrial",
        "seeds": [0, 1, 2],
        "mean": dict.fromkeys(METRICS, value),
        "sd": dict.fromkeys(METRICS, sd),
        "interval": {},
        "se": {} if se is None else dict.fromkeys(METRICS, se),
        "per_seed": seeds,
        "categories": {},
        "reason": None,
    }


@dataclass
class Read(HTMLParser):
    """What a browser would take from a page: tags with attributes, tables by caption, text outside style and script."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    text: str = ""
    _stack: list[str] = field(default_factory=list)
    _caption: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "use", "path", "rect"):
            self._stack.append(tag)
        if tag == "table":
            self._caption = ""
        elif tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        elif tag in ("td", "th"):
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._stack:
            while self._stack.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "style" in self._stack or "script" in self._stack:
            return
        self.text += data
        if "caption" in self._stack:
            self._caption += data
        elif ("td" in self._stack or "th" in self._stack) and data.strip():
            row = self.tables[self._caption][-1]
            row[-1] = f"{row[-1]} {data.strip()}".strip()

    def addresses(self) -> Iterator[str]:
        """Everything that a browser would load or follow."""
        for _, attributes in self.tags:
            for name in ("src", "href", "srcset", "action", "data", "poster"):
                if attributes.get(name) is not None:
                    yield str(attributes[name])


def read(page: str) -> Read:
    """The page as it is understood."""
    reader = Read()
    reader.feed(page)
    return reader
