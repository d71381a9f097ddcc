"""A directory in which a learner can be trained for real: a prepared backbone and a source of a few drawn pictures."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zsad.config import Params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.learners.base import learner_class

CHECKPOINT = Path("data/checkpoints/mine/source/seed_0.safetensors")
SHORT = {"bayes_pfl": {"classifier_epochs": 1, "augmented_views": 1}}  # what makes a training short, beside `epochs`


@contextmanager
def workplace(directory: Path, backbone: Path, pictures: int) -> Iterator[None]:
    """Work in `directory`, with this prepared backbone and a source of `pictures`, every second one anomalous."""
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
    """Configuration `mine` of this method on the source, batches of two pictures."""
    trained = learner_class(method).trained
    settings: dict[str, Any] = {"epochs": epochs, "train_batch_size": 2, **SHORT.get(method, {})} if trained else {}
    return Params.model_validate(
        {
            "seeds": list(seeds),
            "device": device,
            "batch_size": 1,
            "backbones": {"default": {"name": "any", "pretrained": "any", "image_size": image_size}},
            "sources": {"source": {}},
            "datasets": {"source": {"kind": "folder", "path": "pictures"}},
            "learners": {"mine": {"method": method, **settings}},
            "gate": {"cell": {}, "mean": {}},
        }
    )


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
    facts: dict[str, Any] = {"has_image_labels": True, "has_pixel_labels": True, "size": (side, side)}
    counts = {"part": {"train": 0, "normal": count - count // 2, "anomalous": count // 2}}
    rest: dict[str, Any] = {"hash": "h", "counts": counts, "notes": (), "rows": tuple(rows), "mask_rule": "gt127"}
    write_manifest(Manifest("source", "folder", "d", root, **facts, **rest))
