"""Image features, as the official AnomalyCLIP, CoPS and FAPrompt compute them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file


@pytest.mark.parametrize("method", ["anomalyclip", "cops", "faprompt"])
def test_image_features(clip, build, pictures, method):
    golden = load_file(Path(__file__).parent / "golden" / f"{method}.safetensors")
    features = clip.image.encode(pictures, build(method).spec)
    torch.testing.assert_close(features.cls[:3], golden["cls"], rtol=0, atol=2e-5)
    torch.testing.assert_close(features.patches[:1], golden["patches"], rtol=0, atol=2e-5)
