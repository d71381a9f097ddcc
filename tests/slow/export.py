"""Every method that can be exported, really exported: near PyTorch in every runtime, for batches of any size.

`make slow`; some minutes on two cores. On the small CLIP with random weights.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zsad.clip.backbone import Clip, encode_images
from zsad.clip.inputs import normalised
from zsad.inference.export.description import Description
from zsad.inference.export.files import Files
from zsad.inference.export.graph import trace
from zsad.inference.export.kinds import KINDS
from zsad.inference.export.sessions import open_session
from zsad.inference.maps import sigmoid
from zsad.learners.lookup import learner_class, methods


@pytest.mark.parametrize("method", [method for method in methods() if method != "ada_clip"])
def test_every_runtime_scores_as_pytorch(clip: Clip, build: Callable[..., Any], tmp_path: Path, method: str) -> None:
    learner = build(method, shots=int(learner_class(method).few_shot)).eval()
    files = Files(trace(learner, "metal nut"))
    told = Description(
        method, method, "strict", "s", "", "tiny", clip.image_size, learner.map_grid, learner.upsample, learner.sigma,
        "fp32",
    )  # fmt: skip
    pixels = np.random.RandomState(0).randint(0, 256, (5, 72, 72, 3), dtype=np.uint8)
    inputs = normalised(pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    wanted = learner.score(encode_images(clip, inputs, learner.spec, "fp32"), ["metal nut"] * 5)
    for kind in KINDS:
        session = open_session(files.write(told, kind, tmp_path / f"model{kind.suffix}")[0])
        for part in (slice(0, 1), slice(1, 5)):
            score, logits = session.run(pixels[part])
            np.testing.assert_allclose(score, wanted.score[part], atol=1e-5, rtol=0)
            probabilities = sigmoid(wanted.map_logits[part].double().numpy())
            np.testing.assert_allclose(sigmoid(logits.astype(np.float64)), probabilities, atol=1e-4, rtol=0)
