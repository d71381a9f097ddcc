"""CoPS against tensors that the official code computed from the same weights, inputs and draws (README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.parity.closeness import FEATURE, MAP, SCORE, TEXT, check
from zsad.inference.maps import sigmoid, smooth, upsample

METHOD = "cops"  # whose features the fixture `features` holds
GOLDEN = load_file(Path(__file__).parent / "golden" / "cops.safetensors")
TRAINING = {"mvtec": {"pool": 3, "rec_loss": "pairwise_mean"}, "visa": {}}  # settings per auxiliary set


@torch.no_grad()
def test_prototypes_and_text_features(features, build):
    learner = build("cops")
    patches = learner.pooled(features, 5)[:3]
    normal, anomalous = learner.extractor(learner.t_n, patches), learner.extractor(learner.t_a, patches)
    check("normal prototypes", normal, GOLDEN["q_n"], FEATURE)
    check("anomalous prototypes", anomalous, GOLDEN["q_a"], FEATURE)
    text = learner.text_features(normal, anomalous, learner.vae_decoder(learner.z[None].expand(3, -1, -1)))
    check("text", torch.stack(text, dim=1), GOLDEN["text"], TEXT)


@pytest.mark.parametrize("target", ["mvtec", "visa"])
def test_score_and_map(features, build, monkeypatch, target):
    """`paper` with the target's constants, the prior samples of the golden run put in place of its draws."""
    learner = build("cops", protocol="paper")
    monkeypatch.setattr(learner, "_samples", lambda count: learner.z[None].expand(count, -1, -1))
    scored = learner.score(features, [""] * 12, target)
    check("score", scored.score[:3], GOLDEN[f"test_{target}_score"], SCORE)
    for i in range(3):
        probabilities = upsample(sigmoid(scored.map_logits[i].numpy()), (72, 72), learner.upsample)
        check("map", probabilities, GOLDEN[f"test_{target}_map_raw"][i], MAP)
        if target == "mvtec":
            check("smoothed map", smooth(probabilities, 4.0), GOLDEN["test_mvtec_map"][i], MAP)


@pytest.mark.parametrize("source", ["mvtec", "visa"])
def test_losses_gradients_and_three_optimiser_steps(
    features, build, make_batch, run_steps, monkeypatch, source
):  # fmt: skip
    noise = torch.from_numpy(np.random.RandomState(8).standard_normal((12, 128)).astype(np.float32))

    def inject(step: int) -> None:
        monkeypatch.setattr(torch, "randn", lambda *size, **options: noise[4 * step : 4 * step + 4])

    learner = build("cops", **TRAINING[source])
    steps = run_steps(learner, [make_batch(features, range(4 * step, 4 * step + 4)) for step in range(3)], inject)
    for terms in steps.losses:
        terms["seg4th"] = terms.pop("seg") / 4
    steps.check(GOLDEN, f"train_{source}")
