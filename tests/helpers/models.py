"""One checkpoint of a small model with seeded parameters, and pictures to score."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zsad.training import checkpoint
from zsad.training.checkpoint import Header


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    values = np.random.RandomState(0).randint(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.fixture
def save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Any, build: Callable[..., Any], backbone: Callable[..., Path]
) -> Callable[..., Path]:
    """save(protocol="strict", method="anomalyclip", states=None, **backbone identity) → checkpoint file.

    In a folder that holds its backbone; states: a setting of hand-written prompts.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copytree(backbone(), "data/weights/default")

    def make(protocol: Any = "strict", method: str = "anomalyclip", states: Any = None, **identity: Any) -> Path:
        learner = build(method, protocol=protocol, **({} if states is None else {"states": states}))
        described = {"name": "tiny", "pretrained": "openai", "sha256": clip.sha256, "image_size": clip.image_size}
        header = Header(
            learner=method, method=method, protocol=protocol, source="s", seed=0, config_hash="c",
            settings=learner.config.model_dump(mode="json"), backbone={**described, **identity}, dataset_hash="d",
        )  # fmt: skip
        path = Path("model.safetensors")
        checkpoint.save(path, learner, header)
        return path

    return make
