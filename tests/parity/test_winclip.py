"""WinCLIP and WinCLIP+ against tensors that a public re-implementation computed from the same weights (README.md)."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from zsad.inference.maps import sigmoid, upsample
from zsad.learners.few_shot import Support
from zsad.learners.lookup import build_config
from zsad.learners.winclip_plus import WinClipPlus

METHOD = "winclip_plus"  # whose features the fixture `features` holds
GOLDEN = load_file(Path(__file__).parent / "golden" / "winclip.safetensors")
NAMES = ["bottle", "metal nut", "drawn"]  # the last one's prototypes are random, so that its maps are not flat


def with_drawn_text(learner):
    learner._prototypes["drawn"] = F.normalize(GOLDEN["drawn_prototypes"], dim=-1)
    return learner


@pytest.fixture(scope="module")
def few_shot(clip, pictures):
    """WinCLIP+ that remembers pictures 10 and 11."""
    learner = WinClipPlus(build_config("winclip_plus", {}, "few_shot.x"), clip, shots=2)
    encode = lambda images: clip.image.encode(images, learner.support_spec)  # noqa: E731
    assert list(learner.adapt(Support(pictures[10:], "bottle", "bottle", encode, 0))) == []
    return with_drawn_text(learner)


def test_features(features):
    torch.testing.assert_close(features.cls_post[:6], GOLDEN["cls_post"], rtol=0, atol=1e-5)
    torch.testing.assert_close(features.tokens[:1], GOLDEN["tokens"], rtol=0, atol=1e-5)
    for scale in (2, 3):
        torch.testing.assert_close(features.window(scale)[:1], GOLDEN[f"window_{scale}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES[:2])
def test_prototypes(build, name):
    wanted = F.normalize(GOLDEN[f"{name.replace(' ', '_')}_prototypes"], dim=-1)
    torch.testing.assert_close(build("winclip").prototypes(name), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_zero_shot(features, build, name):
    key, scored = name.replace(" ", "_"), with_drawn_text(build("winclip")).score(features, [name] * 12)
    torch.testing.assert_close(scored.map_logits[:6].sigmoid().float(), GOLDEN[f"{key}_zero_grid"], rtol=0, atol=2e-6)
    compare(scored, f"{key}_zero")


def test_visual_map_of_each_scale(features, few_shot):
    maps = torch.stack(few_shot.visual_maps(features), dim=1)
    torch.testing.assert_close(maps[:6].float(), GOLDEN["visual"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_few_shot(features, few_shot, name):
    compare(few_shot.score(features, [name] * 12), f"{name.replace(' ', '_')}_few")


def compare(scored, key):
    """Scores of six pictures, full maps of two."""
    torch.testing.assert_close(scored.score[:6].float(), GOLDEN[f"{key}_score"], rtol=0, atol=2e-6)
    for i in range(2):
        full = upsample(sigmoid(scored.map_logits[i].numpy()), (72, 72), "bilinear")
        assert abs(full - GOLDEN[f"{key}_map"][i].numpy()).max() < 2e-6
