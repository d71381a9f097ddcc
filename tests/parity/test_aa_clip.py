"""AA-CLIP against tensors that the official code computed from the same weights and inputs (README.md)."""

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
from zsad.inference.maps import upsample

GOLDEN = load_file(Path(__file__).parent / "golden" / "aa_clip.safetensors")
NAMES = ["candle", "infrared sensor pcb module", "candle", "cashew nut"]  # the official words for three classes of VisA
SETTINGS = {"text_adapters": 2, "image_adapters": 2, "milestones": [2, 32000]}  # the third step is at half the rate
EVERY = 9  # of patch features the golden file holds every ninth


def golden_clip(backbone: Callable[..., Path]) -> Any:
    return load_clip(backbone(), SIDE, "gelu", "bicubic_antialias", torch.device("cpu"))


@pytest.fixture(scope="module")
def gelu_clip(backbone) -> Any:
    return golden_clip(backbone)


@pytest.fixture
def make(build, gelu_clip) -> Callable[..., Any]:
    """make(**settings) → the learner of the golden run."""
    return partial(build, "aa_clip", clip=gelu_clip, **SETTINGS)


@pytest.fixture(scope="module")
def features(gelu_clip, build, pictures) -> Any:
    return gelu_clip.image.encode(pictures, build("aa_clip", clip=gelu_clip, **SETTINGS).training_spec)


def golden_batches(features: Any, make_batch: Callable[..., Any]) -> list[Any]:
    """Three batches of four pictures of three classes."""
    return [replace(make_batch(features, range(4 * i, 4 * i + 4)), names=NAMES) for i in range(3)]


@pytest.fixture
def batches(features, make_batch) -> list[Any]:
    return golden_batches(features, make_batch)


@torch.no_grad()
def test_text_prototypes(make):
    check("text", make().text_features(NAMES), GOLDEN["text"], TEXT)


@pytest.mark.parametrize("over", ["pictures", "patches"])
def test_stage_1_patches_losses_gradients_and_three_optimiser_steps(make, batches, run_steps, over):
    learner = make(vv_over=over)
    patches = learner.frozen_patches(batches[0].features)[:, ::EVERY]
    check("frozen patches", patches, GOLDEN[f"{over}_patches"], FEATURE)
    run_steps(learner, batches, stage=0).check(GOLDEN, over)


def test_stage_2_losses_gradients_and_three_optimiser_steps(make, batches, run_steps):
    run_steps(make(), batches, stage=1).check(GOLDEN, "image")


@torch.no_grad()
def test_features_of_the_adapted_tower(make, features):
    layers, image = make().image_features(features.select([0, 1, 2]))
    check("layers", torch.stack(layers)[:, :, ::EVERY], GOLDEN["layers"], FEATURE)
    check("image", image, GOLDEN["image"], FEATURE)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("target", "domain"), [("mvtec", "industrial"), ("brainmri", "medical")])
def test_map_and_score_of_the_official_test(make, features, relu, target, domain):
    """The official map is L (½ + our log-odds), unbounded; its score of medical sets is the map's largest value."""
    learner, ending = make(relu=relu, protocol="paper"), "_relu" if relu else ""
    scored = learner.score(features.select([0, 1, 2]), ["candle"] * 3, target)
    wanted = GOLDEN[f"map_{domain}{ending}"]
    for i, logits in enumerate(scored.map_logits):
        map_HW = len(learner.layers) * (0.5 + upsample(logits.numpy(), (SIDE, SIDE), learner.upsample))
        every = SIDE // wanted.shape[-1]
        check("map", map_HW[::every, ::every], wanted[i], MAP)
    if domain == "industrial":
        check("score", scored.score, GOLDEN["score" + ending], SCORE)
