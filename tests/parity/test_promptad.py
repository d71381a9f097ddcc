"""PromptAD against tensors that the official code computed from the same weights, pictures and contexts (README.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import SIDE, seeded_values
from tests.parity.closeness import FEATURE, GRADIENT, LATER_LOSS, LOSS, MAP, SCORE, TEXT, check
from tests.parity.conftest import sample
from zsad.clip.backbone import ImageFeatures, load_clip
from zsad.clip.inputs import to_input
from zsad.inference.maps import sigmoid, smooth, upsample
from zsad.learners.few_shot import Support
from zsad.learners.promptad import Config, PromptAD

GOLDEN = load_file(Path(__file__).parent / "golden" / "promptad.safetensors")
SHOTS, STEPS = 2, 3
NAMES = {  # the official class: the name in its prompts, unless its list has phrases of its own
    "metal_nut": "metal nut",
    "capsule": "capsule",
    "hazelnut": "hazelnut",
    "pcb1": "printed circuit board",
    "macaroni2": "macaroni",
    "pipe_fryum": "pipe fryum",
}


@pytest.fixture(scope="module")
def gelu_clip(backbone) -> Any:
    directory = backbone(family="laion400m", activation="gelu")
    return load_clip(directory, SIDE, "quickgelu", "bicubic_antialias", torch.device("cpu"))


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Five pictures of blobs and noise, RGB: two to learn from, three to score."""
    generator = np.random.RandomState(17)
    coarse = torch.from_numpy(generator.standard_normal((5, 3, 6, 6)).astype(np.float32))
    fine = torch.from_numpy(generator.standard_normal((5, 3, SIDE, SIDE)).astype(np.float32))
    values = (F.interpolate(coarse, size=SIDE, mode="nearest") + 0.3 * fine) * 50 + 128
    return [Image.fromarray(value.permute(1, 2, 0).numpy()) for value in values.clamp(0, 255).byte()]


@pytest.fixture
def inputs(photos) -> Tensor:
    return torch.from_numpy(np.stack([to_input(photo, SIDE) for photo in photos]))


@pytest.fixture
def make(gelu_clip) -> Callable[..., PromptAD]:
    """make(**settings) → a learner under `paper` with seeded contexts."""

    def made(**settings: Any) -> PromptAD:
        learner = PromptAD(Config(epochs=STEPS, **settings), gelu_clip, "paper", SHOTS)
        shapes = {name: value.shape for name, value in learner.named_parameters()}
        learner.load_state_dict(seeded_values(shapes, 1), strict=False)
        return learner

    return made


@pytest.fixture
def adapt(gelu_clip, inputs) -> Callable[[PromptAD], list[dict[str, float]]]:
    def adapted(learner: PromptAD) -> list[dict[str, float]]:
        pictures = torch.zeros(SHOTS, 3, SIDE, SIDE)
        encoded = gelu_clip.image.encode(inputs[:SHOTS], learner.support_spec)
        return list(learner.adapt(Support(pictures, "metal_nut", "metal nut", lambda _: encoded, 0)))

    return adapted


@pytest.fixture
def features(gelu_clip, inputs, make) -> ImageFeatures:
    """Of the pictures to score, whose red and blue the official code exchanges."""
    return gelu_clip.image.encode(inputs[SHOTS:], make().spec)


def test_image_features(features):
    """The remembered tokens hold the next block's attention: it is added in place after they were taken."""
    check("image feature", features.cls_post, GOLDEN["cls"], FEATURE)
    check("patch features", features.patches[:1], GOLDEN["patches"], FEATURE)
    for layer in (1, 3):
        check(f"tokens of block {layer}", features.halfway(layer + 1)[:1], GOLDEN[f"tokens_{layer}"], FEATURE)


@torch.no_grad()
@pytest.mark.parametrize("category", NAMES)
def test_text_prototypes(make, category):
    learner = make()
    text = learner.text_features(learner.prompts(NAMES[category]))
    for task, prompts in zip(("image", "map"), text, strict=True):
        check(f"{task} prototypes", prompts.prototypes(), GOLDEN[f"text_{task}_{category}"], TEXT)


def test_losses_gradients_and_three_optimiser_steps(make, adapt, monkeypatch):
    learner, gradients, step = make(), {}, torch.optim.SGD.step

    def recording(optimizer: torch.optim.SGD) -> None:
        for name, parameter in learner.named_parameters():
            gradients.setdefault(name, parameter.grad.clone())
        step(optimizer)

    monkeypatch.setattr(torch.optim.SGD, "step", recording)
    for i, terms in enumerate(adapt(learner)):
        for name, value in terms.items():
            task, term = name.split("_")
            check(f"loss {name}, step {i}", value, GOLDEN[f"{task}_loss_{term}"][i], LATER_LOSS if i else LOSS)
    for name, parameter in learner.named_parameters():
        check(f"gradient of {name}", sample(gradients[name]), GOLDEN[f"grad.{name}"], GRADIENT)
        check(f"value of {name}", sample(parameter), GOLDEN[f"value.{name}"], TEXT)
    for task in ("image", "map"):
        check(f"{task} prototypes", learner.get_buffer(f"text_{task}"), GOLDEN[f"{task}_text"], TEXT)


@torch.no_grad()
def test_memory_maps_and_score(make, adapt, features):
    learner = make()
    with torch.enable_grad():
        adapt(learner)
    for layer in (1, 3):
        gallery = learner.get_buffer(f"gallery_{layer}")
        check(f"memory of block {layer}", sample(gallery), GOLDEN[f"gallery_{layer}"], FEATURE)
    check("memory map", learner.as_map(learner.visual(features)), GOLDEN["visual"], MAP)
    scored = learner.score(features, [""] * 3)
    check("score", scored.score, GOLDEN["score"], SCORE)
    for i in range(3):
        raw = upsample(sigmoid(scored.map_logits[i].numpy()), (400, 400), learner.upsample)
        smoothed = smooth(raw, 400 * learner.sigma)
        check("map", raw[::8, ::8], GOLDEN["map_raw"][i], MAP)
        check("smoothed map", smoothed[::8, ::8], GOLDEN["map"][i], MAP)
