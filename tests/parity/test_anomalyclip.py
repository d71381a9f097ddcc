"""AnomalyCLIP against tensors that the official code computed from the same weights and inputs (README.md)."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.parity.closeness import MAP, SCORE, TEXT, check
from zsad.inference.maps import sigmoid, smooth, upsample

METHOD = "anomalyclip"  # whose features the fixture `features` holds
GOLDEN = load_file(Path(__file__).parent / "golden" / "anomalyclip.safetensors")


def test_text_features(build):
    normal, anomalous = build("anomalyclip").text_features()
    check("text", torch.cat([normal, anomalous]), GOLDEN["text"].flatten(0, -2), TEXT)


def test_score_and_map(features, build):
    learner = build("anomalyclip")
    scored = learner.score(features, [""] * 12)
    check("score", scored.score[:3], GOLDEN["test_score"], SCORE)
    for i in range(3):
        probabilities = upsample(sigmoid(scored.map_logits[i].double().numpy()), (72, 72), learner.upsample)
        check("map", probabilities, GOLDEN["test_map_raw"][i], MAP)
        check("smoothed map", smooth(probabilities, 4.0), GOLDEN["test_map"][i], MAP)


def test_losses_gradients_and_three_optimiser_steps(features, build, make_batch, run_steps):
    learner = build("anomalyclip")
    steps = run_steps(learner, [make_batch(features, range(4 * step, 4 * step + 4)) for step in range(3)])
    steps.check(GOLDEN, "train")
