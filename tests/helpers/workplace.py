"""A directory in which a learner can be trained for real: a prepared backbone and a dataset of a few drawn pictures."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zsad.config.params import Params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.learners.lookup import learner_class
from zsad.training.adapt import adapt
from zsad.training.train import train

CHECKPOINT = Path("data/checkpoints/mine/source/seed_0.safetensors")
SHORT: dict[str, dict[str, Any]] = {  # what makes a training short, beside `epochs`
    "aa_clip": {"text_epochs": 1, "augmented_views": 1},
    "bayes_pfl": {"classifier_epochs": 1, "augmented_views": 1},
    "apt": {"round_epochs": 1, "synthetic": 1, "held_out": 1},
    "promptad": {},
    "winclip_plus": {},
}


@contextmanager
def workplace(directory: Path, backbone: Path, pictures: int) -> Iterator[None]:
    """Work in `directory`, with this prepared backbone and the dataset `source`.

    `pictures` in its test split, every second one anomalous, and one normal picture in its training split.
    """
    (directory / "data/weights").mkdir(parents=True)
    (directory / "data/weights/default").symlink_to(backbone)
    before = Path.cwd()
    os.chdir(directory)
    try:
        _write_source(directory / "pictures", pictures)
        yield
    finally:
        os.chdir(before)


def picture(seed: int, side: int = 160) -> Image.Image:
    """Blobs of random colour."""
    colours = np.random.RandomState(seed).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(colours).resize((side, side), Image.Resampling.BICUBIC)


def params(method: str, image_size: int, device: str, epochs: int, seeds: tuple[int, ...] = (0,)) -> Params:
    """Configuration `mine` of this method on the dataset: batches of two pictures, or adapted from one shot."""
    kind = learner_class(method)
    settings = {**({"epochs": epochs} if kind.trained else {}), **SHORT.get(method, {})}
    if kind.few_shot:
        blocks: dict[str, Any] = {"learners": {}, "few_shot": {"mine": {"method": method, "shots": 1, **settings}}}
    else:
        batch = {"train_batch_size": 2} if kind.trained else {}
        blocks = {"learners": {"mine": {"method": method, **batch, **settings}}}
    return Params.model_validate(
        {
            "seeds": list(seeds),
            "device": device,
            "batch_size": 1,
            "backbones": {"default": {"name": "any", "pretrained": "any", "image_size": image_size}},
            "sources": {"source": {}},
            "datasets": {"source": {"kind": "folder", "path": "pictures"}},
            **blocks,
            "gate": {"cell": {}, "mean": {}},
        }
    )


def learn(params: Params, report: Callable[..., None]) -> None:
    """Train or adapt `mine`."""
    run = adapt if "mine" in params.few_shot else train
    assert run(params, "mine", "source", report)


def _write_source(root: Path, count: int, side: int = 160) -> None:
    root.mkdir()
    rows = []
    for i in range(count):
        name = f"{i}_mask.png" if i % 2 else ""
        pixels = np.array(picture(i, side))
        if name:
            mask = np.zeros((side, side), np.uint8)
            mask[5 * i : 5 * i + 40, 30:80] = 255
            Image.fromarray(mask).save(root / name)
            pixels[mask > 0] = (20, 200, 20)
        Image.fromarray(pixels).save(root / f"{i}.png")
        rows.append(Row(f"{i}.png", "part", "part", i % 2, name, "test", "", side, side, f"{i}"))
    picture(count, side).save(root / "train.png")
    rows.append(Row("train.png", "part", "part", 0, "", "train", "", side, side, "train"))
    facts: dict[str, Any] = {"has_image_labels": True, "has_pixel_labels": True, "size": (side, side)}
    counts = {"part": {"train": 1, "normal": count - count // 2, "anomalous": count // 2}}
    rest: dict[str, Any] = {"hash": "h", "counts": counts, "notes": (), "rows": tuple(rows), "mask_rule": "gt127"}
    write_manifest(Manifest("source", "folder", "d", root, **facts, **rest))
