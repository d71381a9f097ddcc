"""Every learner on a CUDA GPU, on the embedded CLIP: it trains, predicts, repeats itself and agrees with the CPU.

`make gpu` names this file; its name keeps it out of `pytest` and `make test`. Without a GPU it fails, but for
`ZSAD_TEST_DEVICE=cpu`, with which it tells of itself: the CPU agrees with the CPU.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.workplace import CHECKPOINT, learn, params, picture, workplace
from zsad.clip.weights import EMBEDDED, prepare
from zsad.common.io import read_tensors
from zsad.config.schema import BackboneParams
from zsad.inference.model import load_checkpoint
from zsad.learners.lookup import learner_class, methods

SIDE = 112
DEVICE = os.environ.get("ZSAD_TEST_DEVICE", "cuda")
METHODS = methods()
TRAINED = [method for method in METHODS if learner_class(method).trained]
Train = Callable[[str, str], list[float]]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights") / "embedded"
    prepare(BackboneParams(name=EMBEDDED, pretrained=EMBEDDED, image_size=SIDE), out)
    return out


@pytest.fixture
def train_on(backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Train]:
    """train_on(device, method) → mean loss of each epoch; the checkpoint lies at CHECKPOINT."""
    assert DEVICE == "cpu" or torch.cuda.is_available(), "torch sees no GPU"
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # or convolutions keep 10 bits of 23

    def run(device: str, method: str) -> list[float]:
        losses: list[float] = []

        def report(event: str, **fields: dict) -> None:
            if event == "epoch":
                losses.append(next(iter(fields["losses"].values())))

        learn(params(method, SIDE, device, epochs=3), report)
        return losses

    with workplace(tmp_path, backbone, pictures=8):
        yield run


@pytest.mark.parametrize("method", METHODS)
def test_scores_and_maps_are_those_of_the_cpu(train_on: Train, method: str) -> None:
    train_on(DEVICE, method)
    models = {device: load_checkpoint(CHECKPOINT, device) for device in (DEVICE, "cpu")}
    results = {device: model.predict(picture(99), prompt_name="part") for device, model in models.items()}
    assert abs(results[DEVICE].score - results["cpu"].score) < 1e-4
    np.testing.assert_allclose(results[DEVICE].map, results["cpu"].map, rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", TRAINED)
def test_first_epoch_loses_what_it_loses_on_the_cpu(train_on: Train, method: str) -> None:
    """Draws and order come from the same generators; later epochs drift apart by rounding."""
    losses = {device: train_on(device, method) for device in (DEVICE, "cpu")}
    assert losses[DEVICE][0] == pytest.approx(losses["cpu"][0], rel=1e-2)
    assert np.isfinite(losses[DEVICE]).all()


@pytest.mark.parametrize("method", TRAINED)
def test_the_same_seed_gives_the_same_tensors_twice(train_on: Train, method: str) -> None:
    runs = []
    for _ in range(2):
        train_on(DEVICE, method)
        runs.append(read_tensors(CHECKPOINT)[0])
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
