"""FAPrompt against tensors that the official code computed from the same weights and inputs (README.md).

`first` is the official code as it stands; `topk` the same code with the patches it meant to select.
"""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from tests.parity.closeness import FEATURE, MAP, SCORE, TEXT, check
from zsad.inference.maps import sigmoid, smooth, upsample

METHOD = "faprompt"  # whose features the fixture `features` holds
GOLDEN = load_file(Path(__file__).parent / "golden" / "faprompt.safetensors")
PROTOCOLS = {"first": "paper", "topk": "strict"}  # the selection follows from the protocol


@torch.no_grad()
@pytest.mark.parametrize("selection", ["first", "topk"])
def test_text_features(features, build, selection):
    """Raw features of pass 1, unit pairs of pass 2."""
    learner = build("faprompt", protocol=PROTOCOLS[selection])
    prefix, passes = learner.prefix(), learner.passes(features)
    normal, adapted = learner.normal_feature(prefix), learner.abnormal_features(prefix, passes.bias).mean(1)
    check("normal feature", normal, GOLDEN["normal"], FEATURE)
    check("abnormal features", passes.abnormal, GOLDEN["abnormal"], FEATURE)
    pairs = F.normalize(torch.stack([normal.expand(12, -1), adapted], dim=1), dim=-1)
    check("adapted text", pairs[:3], GOLDEN[f"test_{selection}_text"], TEXT)


@pytest.mark.parametrize("selection", ["first", "topk"])
def test_score_and_map(features, build, selection):
    learner = build("faprompt", protocol=PROTOCOLS[selection])
    scored = learner.score(features, [""] * 12, "mvtec")
    check("score", scored.score[:3], GOLDEN[f"test_{selection}_score"], SCORE)
    for i in range(3):
        probabilities = upsample(sigmoid(scored.map_logits[i].numpy()), (72, 72), learner.upsample)
        check("map", probabilities, GOLDEN[f"test_{selection}_map_raw"][i], MAP)
        check("smoothed map", smooth(probabilities, 10.0), GOLDEN[f"test_{selection}_map"][i], MAP)


@pytest.mark.parametrize("selection", ["first", "topk"])
def test_losses_gradients_and_three_optimiser_steps(features, build, make_batch, run_steps, selection):
    learner = build("faprompt", protocol=PROTOCOLS[selection])
    steps = run_steps(learner, [make_batch(features, range(4 * step, 4 * step + 4)) for step in range(3)])
    steps.check(GOLDEN, f"train_{selection}")
