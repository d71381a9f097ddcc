"""One small model of each kind, exported once."""

from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export import ExportedProgram

from tests.conftest import TINY, write_backbone
from zsad.clip.backbone import Clip, load_clip
from zsad.inference.calibration import Calibration
from zsad.inference.export.export import describe
from zsad.inference.export.files import Files
from zsad.inference.export.graph import trace
from zsad.inference.export.kinds import KINDS
from zsad.inference.model import Predictor, load_checkpoint
from zsad.training import checkpoint
from zsad.training.checkpoint import Header

SIDE = 32
FEW = {"states": {"normal": ["{}"], "anomalous": ["damaged {}"], "templates": ["a photo of a {}."]}}


@pytest.fixture(scope="session")
def small(backbone: Callable[..., Path]) -> Clip:
    """Three blocks at 32 px, as many as every method does with; what the other tests trace has one."""
    layers = {**TINY["vision_cfg"], "layers": 3}  # type: ignore[dict-item]
    return load_clip(backbone(vision_cfg=layers), SIDE, "quickgelu", "bilinear", torch.device("cpu"))


@pytest.fixture(scope="session")
def smallest(tiny_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """One block of the image tower and two of text at 32 px, in the folder where checkpoints look for it."""
    tiny_config["vision_cfg"]["layers"], tiny_config["text_cfg"]["layers"] = 1, 2
    place = tmp_path_factory.mktemp("export") / "data/weights/default"
    return load_clip(
        write_backbone(place, tiny_config, 0, "openai", "quickgelu"), SIDE, "quickgelu", "bilinear", torch.device("cpu")
    )


@pytest.fixture(scope="session")
def folder(smallest: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Below which checkpoints of `smallest` find it."""
    return next(tmp_path_factory.getbasetemp().glob("export*"))


@pytest.fixture(scope="session")
def store(smallest: Clip, build: Callable[..., Any], folder: Path) -> Callable[..., Path]:
    """store(method, categories=(), **settings) → a checkpoint file of `smallest`, of one category each if named."""

    def make(method: str, categories: tuple[str, ...] = (), **settings: Any) -> Path:
        learners = {
            c: build(method, clip=smallest, shots=int(bool(categories)), seed=i, **settings)
            for i, c in enumerate(categories or ("",))
        }
        first = next(iter(learners.values()))
        told = {c: {"prompt_name": f"a {c}", "support": []} for c in categories}
        header = Header(
            learner=method, method=method, protocol="strict", source="s", seed=0, config_hash="c", dataset_hash="d",
            settings=first.config.model_dump(mode="json"), shots=1 if categories else None, categories=told or None,
            backbone={"name": "tiny", "pretrained": "openai", "sha256": smallest.sha256, "image_size": SIDE},
        )  # fmt: skip
        path = folder / f"{method}.safetensors"
        checkpoint.save(path, learners if categories else first, header)
        return path

    return make


@pytest.fixture
def here(folder: Path) -> Iterator[None]:
    """In the folder of the checkpoints."""
    with chdir(folder):
        yield


@pytest.fixture(scope="session")
def original(store: Callable[..., Path], folder: Path) -> Predictor:
    """clip_zero, which reads class names, with few words."""
    with chdir(folder):
        return load_checkpoint(store("clip_zero", **FEW), "cpu")


@pytest.fixture(scope="session")
def calibration(original: Predictor) -> Calibration:
    """Of `original`, as of twenty pictures."""
    scores = tuple(0.3 + 0.01 * i for i in range(20))
    return Calibration("LINE3", 0.1, scores[18], 0.7, scores, original.checkpoint_sha256, prompt_name="nut")


@pytest.fixture(scope="session")
def program(original: Predictor) -> ExportedProgram:
    """The graph of `original` with prompts for a nut."""
    return trace(original.learners[""], "nut")


@pytest.fixture(scope="session")
def exported(original: Predictor, program: ExportedProgram, calibration: Calibration, folder: Path) -> dict[str, Path]:
    """It as a file of each kind, by its suffix; the calibration is inside."""
    files = Files(program)
    header = checkpoint.read_header(folder / "clip_zero.safetensors")
    told = replace(describe(original, header, "", "nut", "fp32"), calibrations={"LINE3": calibration.as_dict()})
    return {kind.suffix: files.write(told, kind, folder / f"model{kind.suffix}")[0] for kind in KINDS}
