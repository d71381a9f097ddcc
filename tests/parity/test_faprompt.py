"""FAPrompt against tensors that the official code computed from the same weights and inputs (README.md).

`first` is the official code as it stands; `topk` the same code with the patches it meant to select.
"""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

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
    torch.testing.assert_close(normal, GOLDEN["normal"], rtol=0, atol=2e-5)
    torch.testing.assert_close(passes.abnormal, GOLDEN["abnormal"], rtol=0, atol=2e-5)
    pairs = F.normalize(torch.stack([normal.expand(12, -1), adapted], dim=1), dim=-1)
    torch.testing.assert_close(pairs[:3], GOLDEN[f"test_{selection}_text"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("selection", ["first", "topk"])
def test_score_and_map(features, build, selection):
    learner = build("faprompt", protocol=PROTOCOLS[selection])
    scored = learner.score(features, [""] * 12, "mvtec")
    torch.testing.assert_close(scored.score[:3].float(), GOLDEN[f"test_{selection}_score"], rtol=0, atol=1e-5)
    for i in range(3):
        probabilities = upsample(sigmoid(scored.map_logits[i].numpy()), (72, 72), learner.upsample)
        assert abs(probabilities - GOLDEN[f"test_{selection}_map_raw"][i].numpy()).max() < 1e-5
        assert abs(smooth(probabilities, 10.0) - GOLDEN[f"test_{selection}_map"][i].numpy()).max() < 1e-5


@pytest.mark.parametrize("selection", ["first", "topk"])
def test_losses_gradients_and_three_optimiser_steps(features, build, make_batch, run_steps, selection):
    learner = build("faprompt", protocol=PROTOCOLS[selection])
    steps = run_steps(learner, [make_batch(features, range(4 * step, 4 * step + 4)) for step in range(3)])
    for i, terms in enumerate(steps.losses):
        for name, value in terms.items():
            wanted = GOLDEN[f"train_{selection}_loss_{name}"][i].item()
            assert value == pytest.approx(wanted, rel=2e-6 if i == 0 else 1e-4), name
    for name in dict(learner.named_parameters()):
        # the official code rounds each row's gradient of a deep token to half precision, ours their sum
        tolerance = 2e-3 if name.startswith("compound") else 1e-5
        assert steps.gradient_gap(name, GOLDEN[f"train_{selection}_grad.{name}"]) < tolerance, name
        assert steps.value_gap(name, GOLDEN[f"train_{selection}_value.{name}"]) < 3e-5, name
