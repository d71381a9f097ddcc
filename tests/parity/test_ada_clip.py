"""AdaCLIP against tensors that the official code computed from the same weights, inputs and clusters (README.md)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import SIDE
from tests.parity.closeness import FEATURE, HALF_MAP, HALF_TEXT, MAP, SCORE, TEXT, check
from zsad.clip.backbone import load_clip
from zsad.inference.maps import sigmoid, smooth
from zsad.learners.ada_clip import fusion

GOLDEN = load_file(Path(__file__).parent / "golden" / "ada_clip.safetensors")
NAMES = ["candle", "metal-nut", "pcb"]
CLUSTERS = 5
EVERY = 9  # of patch features the golden file holds every ninth


def golden_clip(backbone: Callable[..., Path]) -> Any:
    return load_clip(backbone(), SIDE, "gelu", "bicubic", torch.device("cpu"))


@pytest.fixture(scope="module")
def gelu_clip(backbone) -> Any:
    return golden_clip(backbone)


def fixed_clusters(points_KF: Tensor, clusters: int, seed: int | None) -> Tensor:
    """In place of K-means, there and here: by rank of the patch."""
    return torch.arange(len(points_KF)) % clusters


@pytest.fixture(autouse=True)
def _clusters(monkeypatch) -> None:
    monkeypatch.setattr(fusion, "cluster", fixed_clusters)


@pytest.fixture
def make(build, gelu_clip) -> Callable[..., Any]:
    """make(**settings) → the learner of the golden run."""
    return partial(build, "ada_clip", clip=gelu_clip, clusters=CLUSTERS)


@pytest.fixture(scope="module")
def features(gelu_clip, build, pictures) -> Any:
    return gelu_clip.image.encode(pictures, build("ada_clip", clip=gelu_clip).spec)


@torch.no_grad()
def test_features_of_the_prompted_towers(make, features):
    learner, few = make(), features.select([0, 1, 2])
    check("CLIP's image feature", few.cls_post, GOLDEN["cls_post"], FEATURE)
    layers, image = learner.image_features(few)
    check("layers", torch.stack(layers)[:, :, ::EVERY], GOLDEN["layers"], FEATURE)
    check("image", image, GOLDEN["image"], FEATURE)
    check("text", learner.text_features(NAMES, few.cls_post), GOLDEN["text"], TEXT)


def test_map_and_score(make, features):
    scored = make().score(features.select([0, 1, 2]), NAMES)
    check("score", scored.score, GOLDEN["score"], SCORE)
    for i, logits in enumerate(scored.map_logits):
        probabilities = sigmoid(logits.double().numpy())
        check("map", probabilities, GOLDEN["map"][i], MAP)
        check("smoothed map", smooth(probabilities, 4.0)[::4, ::4], GOLDEN["smoothed"][i], MAP)


@torch.no_grad()
def test_prompts_rounded_through_half_precision(make, features):
    """An error of rounding that crosses a border of half precision comes out as large as a step of it."""
    learner, few = make(prompt_fp16=True), features.select([0, 1, 2])
    check("text", learner.text_features(NAMES, few.cls_post), GOLDEN["half_text"], HALF_TEXT)
    scored = learner.score(few, NAMES)
    check("score", scored.score, GOLDEN["half_score"], HALF_MAP)
    for i, logits in enumerate(scored.map_logits):
        check("map", sigmoid(logits.double().numpy())[::4, ::4], GOLDEN["half_map"][i], HALF_MAP)
    assert abs(GOLDEN["half_score"] - GOLDEN["score"]).max() > 1e-5


def test_score_without_fusion(make, features):
    learner = make(clusters=0)
    check("score", learner.score(features.select([0, 1, 2]), NAMES).score, GOLDEN["score_unfused"], SCORE)


def golden_batches(features: Any, make_batch: Callable[..., Any]) -> list[Any]:
    """Three batches of one picture."""
    return [replace(make_batch(features, [i]), names=[name]) for i, name in enumerate(NAMES)]


def test_losses_gradients_and_three_optimiser_steps(make, features, make_batch, run_steps):
    run_steps(make(), golden_batches(features, make_batch)).check(GOLDEN, "train")
