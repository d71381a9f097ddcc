"""A repository that imports official files, made by hand: parameters, backbones and files of the small CLIP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import SIDE
from tests.helpers.official_files import official, packed
from zsad.clip.backbone import load_clip
from zsad.common.errors import UserError
from zsad.config.params import Params, load_params
from zsad.datasets.manifest import Manifest, Row, write_manifest
from zsad.learners.lookup import learner_class, methods
from zsad.training.official.convert import import_official, importable

METHODS = [method for method in importable() if method in methods()]
SETS = 3  # of deep tokens for four text blocks
TINY = {"name": "tiny", "pretrained": "openai", "image_size": SIDE}
Save = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: Callable[..., Path]) -> Path:
    """A repository with two backbones and a source of which only the manifest is there."""
    monkeypatch.chdir(tmp_path)
    Path("data/weights").mkdir(parents=True)
    for key, seed in (("default", 0), ("other", 5)):
        Path(f"data/weights/{key}").symlink_to(backbone(seed=seed))
    write_params({})
    rows = (Row("0.png", "c", "cloth", 0, "", "test", "", 48, 48, "0"),)
    facts: dict[str, Any] = {"has_image_labels": False, "has_pixel_labels": False, "mask_rule": "gt127"}
    counts = {"c": {"train": 0, "normal": 1, "anomalous": 0}}
    for name in ("source", "target"):
        write_manifest(
            Manifest(
                name, "folder", "d", tmp_path, size=(48, 48), hash="h", counts=counts, notes=(), rows=rows, **facts
            )
        )
    return tmp_path


def write_params(learners: dict[str, Any], **changes: Any) -> Params:
    content = {
        "seeds": [4, 5],
        "device": "cpu",
        "backbones": {"default": TINY, "other": TINY},
        "sources": {"source": {}},
        "datasets": {"source": {"path": "x"}, "target": {"path": "x"}},
        "learners": learners,
        "few_shot": {},
        "few_shot_of": {},
        "ensembles": {},
        "gate": {"cell": {}, "mean": {}},
    }
    Path("params.yaml").write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return load_params()


def towers(method: str, key: str = "default") -> Any:
    kind = learner_class(method)
    where = Path("data/weights") / key
    return load_clip(where, SIDE, kind.openai_activation, kind.position_resize, torch.device("cpu"))


@pytest.fixture
def save(place: Path) -> Save:
    """save(method, spoil=function of the tensors, **changes of the official settings) → file."""

    def make(method: str, spoil: Callable[[dict[str, Any]], Any] = lambda state: None, **changes: Any) -> Path:
        state = official(method, towers(method), SETS, **changes)
        spoil(state)
        torch.save(packed(method, state), "official.pth")
        return Path("official.pth")

    return make


def refusal(method: str, file: Path | str, *assignments: str, backbone: str | None = None) -> str:
    """The message that comes with exit code 2; nothing is written."""
    with pytest.raises(UserError) as caught:
        import_official(load_params(), method, Path(file), backbone, assignments)
    assert not Path("data/imported").exists()
    return str(caught.value)
