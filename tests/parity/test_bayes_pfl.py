"""Bayes-PFL against tensors that the official code computed from the same weights, inputs and draws (README.md)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import SIDE
from tests.parity.closeness import (
    EXACT,
    FEATURE,
    FLOW_GRADIENT,
    FLOW_UPDATE,
    LATER_FLOW_GRADIENT,
    LATER_FLOW_LOSS,
    LOG_DET,
    LOSS,
    MAP,
    SAMPLED_TEXT,
    SCORE,
    STORED_SCORE,
    check,
    check_update,
)
from tests.parity.conftest import sample
from zsad.clip.backbone import load_clip
from zsad.evaluation.category import image_scores
from zsad.inference.maps import sigmoid, smooth
from zsad.inference.stored import PredictionInfo, Predictions, PredictionWriter
from zsad.training import loop

GOLDEN = load_file(Path(__file__).parent / "golden" / "bayes_pfl.safetensors")
NAMES = ["bottle", "metal_nut", "macaroni1", "x", "Metal15", "head ct"] * 2
PAIRS = (0, 2, 1, 1, 0, 2)  # the prompt of the bank that each of six training steps drew
NO_EFFECT = "fuse.compress.bias"  # a softmax does not see it: its gradient is rounding noise
STEPS = 3  # of each stage; an epoch has as many, a run six epochs: that is the length of the cosine


def golden_clip(backbone: Callable[..., Path]) -> Any:
    return load_clip(backbone(), SIDE, "gelu", "bicubic_antialias", torch.device("cpu"))


@pytest.fixture(scope="module")
def gelu_clip(backbone) -> Any:
    return golden_clip(backbone)


def golden_learner(build: Callable[..., Any], clip: Any, **settings: Any) -> Any:
    """The learner of the golden run: everything seeded, but the temperatures 1/100."""
    learner = build("bayes_pfl", clip=clip, **settings)
    with torch.no_grad():
        for temperature in (learner.temperature_pixel, learner.temperature_image):
            temperature.copy_(torch.tensor(100.0).log())
    return learner


@pytest.fixture
def make(build, gelu_clip) -> Callable[..., Any]:
    """make(**settings) → the learner of the golden run."""
    return partial(golden_learner, build, gelu_clip)


@pytest.fixture(scope="module")
def features(gelu_clip, build, pictures) -> Any:
    return gelu_clip.image.encode(pictures, build("bayes_pfl", clip=gelu_clip).spec)


def golden_noise() -> list[list[Tensor]]:
    """Training noise of six steps: [4, 1, D] for the context, [1, 1, D] for each state."""
    generator = np.random.RandomState(8)
    draws = [torch.from_numpy(generator.standard_normal((6, 128)).astype(np.float32)) for _ in range(2 * STEPS)]
    return [[draw[:4, None], draw[4:5, None], draw[5:6, None]] for draw in draws]


@pytest.fixture
def noise() -> list[list[Tensor]]:
    return golden_noise()


def test_image_features(features):
    check("image feature", features.cls_post[:3], GOLDEN["cls_post"], FEATURE)
    for layer in (2, 4):
        check(f"block {layer}", features.layer(layer)[:1], GOLDEN[f"layer_{layer}"], FEATURE)


@torch.no_grad()
def test_flows_and_log_determinants(make, features, noise):
    for i, draw in enumerate(make().distributions(features.cls_post[:4], noise[0])):
        check(f"z of distribution {i}", draw.z[:, 0], GOLDEN[f"train_z_{i}"], FEATURE)
        check(f"log-determinants of distribution {i}", draw.log_det[:, 0], GOLDEN[f"train_logdet_{i}"], LOG_DET)


@torch.no_grad()
def test_text_features_of_all_samples(make, features):
    """Thirty normal, then thirty abnormal prompts; pair index = sample · bank + prompt."""
    learner = make()
    draws = learner.distributions(features.cls_post[:3], learner.test_noise(3))
    text = learner.text_features(NAMES[:3], [draw.z for draw in draws])[1]
    check("text", text.flatten(0, 1), GOLDEN["test_text"], SAMPLED_TEXT)


def test_map_and_probability(make, features):
    """The stored noise is what the golden run drew for each of its images."""
    scored = make(top_weight=0.0).score(features, NAMES)
    check("probability", scored.score, GOLDEN["test_2_p"], SCORE)
    for i in range(3):
        probabilities = sigmoid(scored.map_logits[i].double().numpy())
        check("map", probabilities, GOLDEN["test_map_raw"][i], MAP)
        check("smoothed map", smooth(probabilities, 8.0), GOLDEN["test_map"][i], MAP)


def test_fused_score_of_two_categories(make, features, tmp_path):
    """Six images as a category that takes 2,000 pixels of each map, six as `screw`, which takes 20."""
    learner, shares = make(top_weight=0.0), {"": 2000 / SIDE**2, "screw": 20 / SIDE**2}
    facts = {"grid": learner.map_grid, "upsample": learner.upsample, "sigma": learner.sigma}
    none = dict.fromkeys(("learner", "source", "dataset", "domain", "config_hash", "dataset_hash"), "")
    run = {"method": "bayes_pfl", "protocol": "paper", "shots": 0, "seeds": [0], "n_images": 12}
    info = PredictionInfo(**none, **run, **facts, image_top=shares)
    scored = learner.score(features, NAMES)
    with PredictionWriter(tmp_path / "p", info) as writer:
        writer.write(0, 0, scored.score.numpy(), scored.map_logits.numpy())
    predictions = Predictions.open(tmp_path / "p")
    halves = [image_scores(predictions, 0, "a", [*range(6)]), image_scores(predictions, 0, "screw", [*range(6, 12)])]
    # from maps stored in 16 bits: a category's range is a small part of [0, 1], and stretching it enlarges the rounding
    check("fused score", np.concatenate(halves), GOLDEN["test_score"], STORED_SCORE)


def test_probability_of_the_first_stage(make, gelu_clip, features):
    """Without the classifier the image feature is CLIP's own."""
    whole = make()
    learner = make(classifier_epochs=0, top_weight=0.0)
    learner.load_state_dict({name: whole.state_dict()[name] for name in learner.state_dict()})
    check("probability", learner.score(features, NAMES).score, GOLDEN["test_1_p"], SCORE)


def test_both_stages_losses_gradients_and_optimiser_steps(make, features, make_batch, noise, monkeypatch):
    learner = make(epochs=5, classifier_epochs=1)
    drawn = iter([epsilon for step in noise for epsilon in step])
    pairs = iter(PAIRS)
    monkeypatch.setattr(torch, "randn", lambda *size, **options: next(drawn))
    monkeypatch.setattr(torch, "randint", lambda *arguments, **options: torch.tensor([next(pairs)]))
    for stage, phase in enumerate(learner.phases()):
        optimizer = loop.make_adam(phase, learner.config.betas)
        for step in range(STEPS):
            batch = replace(make_batch(features, range(4 * step, 4 * step + 4)), names=NAMES[4 * step : 4 * step + 4])
            for group, wanted in zip(optimizer.param_groups, phase.groups, strict=True):
                group["lr"] = wanted["lr"] * (phase.schedule.factor(step, STEPS) if phase.schedule else 1)
            optimizer.zero_grad()
            terms = phase.loss(batch)
            torch.stack(list(terms.values())).sum().backward()
            for name, value in terms.items():
                i = STEPS * stage + step
                check(f"loss {name}, step {i}", value, GOLDEN[f"train_loss_{name}"][i], LATER_FLOW_LOSS if i else LOSS)
            if step == 0:
                check_gradients(learner, stage)
            optimizer.step()
        check_values(learner, stage, optimizer)


def check_gradients(learner: Any, stage: int) -> None:
    """Gradients of every tensor that this stage trains, relative to the largest entry; the others have none."""
    prefix = f"train_{stage + 1}_grad."
    learns = {name.removeprefix(prefix) for name in GOLDEN if name.startswith(prefix)}
    trained = {parameter for group in learner.phases()[stage].groups for parameter in group["params"]}
    assert {name for name, value in learner.named_parameters() if value in trained} == learns
    for name, value in learner.named_parameters():
        if name in learns - {NO_EFFECT}:
            # stage 2 begins from weights that differ by rounding
            tolerance = LATER_FLOW_GRADIENT if stage else FLOW_GRADIENT
            check(f"stage {stage} gradient of {name}", sample(value.grad), GOLDEN[prefix + name], tolerance)


def check_values(learner: Any, stage: int, optimizer: torch.optim.Optimizer) -> None:
    """Values after the last step of this stage, of every tensor that it trains."""
    stage_prefix = f"train_{stage + 1}"
    rates = {parameter: STEPS * group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    for name, value in learner.named_parameters():
        wanted, gradient = (GOLDEN.get(f"{stage_prefix}_{what}.{name}") for what in ("value", "grad"))
        if gradient is None and wanted is not None:
            check(f"stage {stage} value of {name}, not trained", sample(value), wanted, EXACT)
        elif wanted is not None and name != NO_EFFECT:
            check_update(f"stage {stage} value of {name}", sample(value), wanted, gradient, rates[value], FLOW_UPDATE)
