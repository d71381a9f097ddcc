"""A repository with one frozen CLIP and no data."""

from pathlib import Path
from typing import Any

import pytest
import yaml

DEMO = {"kind": "demo", "path": "src/zsad/datasets/demo.yaml"}
PARAMS: dict[str, Any] = {
    "seeds": [0],
    "backbones": {"default": {"name": "embedded", "pretrained": "embedded", "image_size": 112}},
    "sources": {"demo_source": {}},
    "datasets": {"demo_source": DEMO, "demo_texture": DEMO},
    "learners": {"clip_zero": {}},
    "few_shot": {},
    "few_shot_of": {},
    "ensembles": {},
    "gate": {"cell": {}, "mean": {}},
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with these parameters."""
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    return tmp_path
