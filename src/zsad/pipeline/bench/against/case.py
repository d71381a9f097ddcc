"""What both sides are given, as files in one folder: a CLIP with random weights, an untrained learner, pictures.

clip/             as the `weights` stage writes it; clip.pth: the same for a reader of OpenAI's files
pictures/         in MVTec AD's layout, one category
images.npy        what they are to the image tower [N, 3, S, S]; masks.npy [N, S, S], labels.npy [N]
learner.safetensors, official.pth       the learner's values, ours and as the official code names them
case.json         the rest
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zsad.common.io import read_json, write_json

INFERENCE, TRAINING = "inference", "training"
NAME = "object"  # of the one category
PICTURES = 16
BATCH = 8  # pictures of a training step
PAPER_SIDE = 518


@dataclass(frozen=True)
class Case:
    """What is run, and the sizes that official arguments and edits are made of.

    vv_start, layers: image blocks, as the learner counts them; deep_sets: sets of deep tokens; width: of text.
    """

    method: str
    what: str
    repository: str
    device: str
    epochs: int
    image_size: int
    patch: int
    blocks: int
    width: int
    vv_start: int
    layers: list[int]
    deep_sets: int
    settings: dict[str, Any]

    def write(self, folder: Path) -> None:
        """As case.json."""
        write_json(folder / "case.json", asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Case":
        """What `write` wrote."""
        stored = read_json(folder / "case.json")
        return cls(**{one.name: stored[one.name] for one in fields(cls)})

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch, or pictures one by one."""
        return PICTURES // BATCH if self.what == TRAINING else PICTURES


def draw_pictures(folder: Path, side: int) -> None:
    """`folder` in MVTec AD's layout: PICTURES coloured blobs of `side` pixels, every second one with a defect."""
    good, bad, truth = (folder / NAME / part for part in ("test/good", "test/bad", "ground_truth/bad"))
    for place in (good, bad, truth):
        place.mkdir(parents=True)
    random = np.random.RandomState(0)
    for i in range(PICTURES):
        colours = random.randint(0, 256, (8, 8, 3)).astype(np.uint8)
        pixels = np.array(Image.fromarray(colours).resize((side, side), Image.Resampling.BICUBIC))
        if i % 2:
            mask = np.zeros((side, side), np.uint8)
            top, left = random.randint(0, side * 3 // 4, 2)
            mask[top : top + side // 4, left : left + side // 4] = 255
            Image.fromarray(mask).save(truth / f"{i:03}_mask.png")
            pixels[mask > 0] = random.randint(0, 256, 3)
        Image.fromarray(pixels).save((bad if i % 2 else good) / f"{i:03}.png")
