"""AdaptCLIP against tensors that the official code computed from the same weights and inputs (README.md)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.conftest import SIDE
from tests.parity.closeness import FEATURE, MAP, NORM_GRADIENT, SCORE, TEXT, check
from tests.parity.conftest import sample
from zsad.inference.maps import sigmoid, smooth, upsample
from zsad.learners.base import PAPER_SIDE
from zsad.learners.few_shot import Support

GOLDEN = load_file(Path(__file__).parent / "golden" / "adapt_clip.safetensors")
SETTINGS: dict[str, Any] = {"vv_start": 0, "sigma": 4.0 * PAPER_SIDE / SIDE}
EVERY = 9  # of patch features the golden file holds every ninth


@pytest.fixture
def make(build: Callable[..., Any]) -> Callable[..., Any]:
    """make(shots=0) → the learner of the golden run."""
    return partial(build, "adapt_clip", **SETTINGS)


@pytest.fixture(scope="module")
def features(clip: Any, build: Callable[..., Any], pictures: Any) -> Any:
    return clip.image.encode(pictures, build("adapt_clip", **SETTINGS).training_spec)


def test_features_and_prompts(make: Callable[..., Any], features: Any) -> None:
    check("image feature", features.cls[:3], GOLDEN["cls"], FEATURE)
    for layer in (1, 2, 3, 4):
        check(f"stream {layer}", features.stream(layer)[:1, ::EVERY], GOLDEN[f"stream_{layer}"], FEATURE)
    learner = make()
    check("fixed prompts", learner.fixed_features(), GOLDEN["text_fixed"], TEXT)
    check("learned prompts", learner.learned_features(), GOLDEN["text_learned"], TEXT)


@pytest.mark.parametrize("shots", [0, 1, 2])
def test_map_and_score(make: Callable[..., Any], clip: Any, pictures: Any, features: Any, shots: int) -> None:
    learner = make(shots=shots)
    if shots:
        support = pictures[10 : 10 + shots]
        encode = partial(clip.image.encode, spec=learner.support_spec)
        assert not list(learner.adapt(Support(support, "a", "object", encode, 0)))
    scored = learner.score(features.select([0, 1, 2]), ["object"] * 3)
    check("score", scored.score, GOLDEN[f"score_{shots}"], SCORE)
    for i, logits in enumerate(scored.map_logits):
        full = upsample(sigmoid(logits.double().numpy()), (SIDE, SIDE), learner.upsample)
        check("map", full[::2, ::2], GOLDEN[f"map_{shots}"][i], MAP)
        check("smoothed map", smooth(full, 4.0)[::4, ::4], GOLDEN[f"smoothed_{shots}"][i], MAP)


def test_losses_gradients_and_three_optimiser_steps(
    make: Callable[..., Any], features: Any, make_batch: Callable[..., Any], run_steps: Callable[..., Any]
) -> None:
    learner = make()
    steps = run_steps(learner, [make_batch(features, range(4 * step, 4 * step + 4)) for step in range(3)])
    # A shift of all patches alike: a batch norm further on takes it away, but at the border.
    shifts = {name: steps.gradients.pop(f"pq_learner.{name}.bias") for name in (f"sharebn.{i}" for i in range(4))}
    steps.check(GOLDEN, "train")
    for name, gradient in shifts.items():
        weight, bias = (GOLDEN[f"train_grad.pq_learner.{name}.{kind}"] for kind in ("weight", "bias"))
        check(f"gradient of {name}.bias", sample(gradient), bias, NORM_GRADIENT, beside=weight)


def test_running_statistics_after_a_step(
    make: Callable[..., Any], features: Any, make_batch: Callable[..., Any]
) -> None:
    """Of all layers in turn where they share a network."""
    learner = make().train()
    learner.loss(make_batch(features, range(4)))
    for name, statistics in learner.named_buffers():
        if "running" in name:
            check(name, sample(statistics), GOLDEN[f"train_statistics.{name}"], FEATURE)
