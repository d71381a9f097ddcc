"""Where the weights that a checkpoint was trained with are found."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from zsad.clip import weights
from zsad.common.io import read_json


def test_the_embedded_clip_is_unpacked_once_by_workers_that_start_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of `mlflow models serve --workers 2`, in a folder where no pipeline has run."""
    monkeypatch.chdir(tmp_path)
    prepare, together = weights.prepare, threading.Barrier(2)
    unpacked: list[Path] = []

    def noted(params: Any, out: Path) -> None:
        unpacked.append(out)
        prepare(params, out)

    noted(weights.BackboneParams(name="embedded", pretrained="embedded", image_size=112), tmp_path / "once")
    monkeypatch.setattr(weights, "prepare", noted)
    identity = {"name": "embedded", "image_size": 112, "sha256": read_json(tmp_path / "once/backbone.json")["sha256"]}

    def worker(_: int) -> Sequence[str]:
        together.wait()
        return sorted(path.name for path in weights.find(identity).iterdir())

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(worker, range(2)))
    assert found == 2 * [["backbone.json", "open_clip_config.json", "open_clip_model.safetensors"]]
    assert unpacked[1:] == [weights.UNPACKED]
