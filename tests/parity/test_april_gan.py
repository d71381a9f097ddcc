"""APRIL-GAN against tensors that the official code computed from the same weights and inputs (README.md)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import SIDE
from tests.parity.closeness import FEATURE, MAP, SCORE, TEXT, check
from zsad.clip.backbone import load_clip
from zsad.inference.maps import sigmoid

GOLDEN = load_file(Path(__file__).parent / "golden" / "april_gan.safetensors")
NAMES = ["bottle", "metal_nut", "macaroni1", "x", "Metal15", "head ct"] * 2
BLOCKS = 4  # read, and summed over in the official map


def golden_clip(backbone: Callable[..., Path]) -> Any:
    return load_clip(backbone(), SIDE, "gelu", "bicubic_antialias", torch.device("cpu"))


@pytest.fixture(scope="module")
def gelu_clip(backbone: Callable[..., Path]) -> Any:
    return golden_clip(backbone)


@pytest.fixture
def make(build: Callable[..., Any], gelu_clip: Any) -> Callable[..., Any]:
    """make(**settings) → the learner of the golden run."""
    return partial(build, "april_gan", clip=gelu_clip)


@pytest.fixture(scope="module")
def features(gelu_clip: Any, build: Callable[..., Any], pictures: Any) -> Any:
    return gelu_clip.image.encode(pictures, build("april_gan", clip=gelu_clip).spec)


def test_image_features(features: Any) -> None:
    check("image feature", features.cls_post[:3], GOLDEN["cls_post"], FEATURE)
    for layer in (2, 4):
        check(f"block {layer}", features.layer(layer)[:1], GOLDEN[f"layer_{layer}"], FEATURE)


def test_text_prototypes(make: Callable[..., Any]) -> None:
    """245 normal and 175 anomalous prompts of each of six names."""
    normal, anomalous = make().text_features(NAMES[:6])
    check("text", torch.stack([normal, anomalous], dim=1), GOLDEN["text"], TEXT)


def test_score_and_map(features: Any, make: Callable[..., Any]) -> None:
    """The official map is the sum over blocks, ours the mean."""
    scored = make().score(features, NAMES)
    check("score", scored.score, GOLDEN["test_score"], SCORE)
    for i in range(3):
        check("map", BLOCKS * sigmoid(scored.map_logits[i].double().numpy()), GOLDEN["test_map"][i], MAP)


def test_losses_gradients_and_three_optimiser_steps(
    features: Any, make: Callable[..., Any], make_batch: Callable[..., Any], run_steps: Callable[..., Any]
) -> None:
    picks = [range(4 * step, 4 * step + 4) for step in range(3)]
    batches = [replace(make_batch(features, pick), names=[NAMES[i] for i in pick]) for pick in picks]
    run_steps(make(), batches).check(GOLDEN, "train")
