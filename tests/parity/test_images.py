"""Image features, as the official AnomalyCLIP, CoPS and FAPrompt compute them."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.parity.closeness import FEATURE, check


@pytest.mark.parametrize("method", ["anomalyclip", "cops", "faprompt"])
def test_image_features(clip, build, pictures, method):
    golden = load_file(Path(__file__).parent / "golden" / f"{method}.safetensors")
    features = clip.image.encode(pictures, build(method).spec)
    check("image feature", features.cls[:3], golden["cls"], FEATURE)
    check("patch features", features.patches[:1], golden["patches"], FEATURE)
