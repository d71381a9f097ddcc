"""WinCLIP and WinCLIP+ against tensors that a public re-implementation computed from the same weights (README.md)."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from tests.parity.closeness import FEATURE, MAP, SCORE, TEXT, check
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
    check("image feature", features.cls_post[:6], GOLDEN["cls_post"], FEATURE)
    check("patch tokens", features.tokens[:1], GOLDEN["tokens"], FEATURE)
    for scale in (2, 3):
        check(f"windows of {scale}", features.window(scale)[:1], GOLDEN[f"window_{scale}"], FEATURE)


@pytest.mark.parametrize("name", NAMES[:2])
def test_prototypes(build, name):
    wanted = F.normalize(GOLDEN[f"{name.replace(' ', '_')}_prototypes"], dim=-1)
    check("prototypes", build("winclip").prototypes(name), wanted, TEXT)


@pytest.mark.parametrize("name", NAMES)
def test_zero_shot(features, build, name):
    key, scored = name.replace(" ", "_"), with_drawn_text(build("winclip")).score(features, [name] * 12)
    check("patch map", scored.map_logits[:6].sigmoid(), GOLDEN[f"{key}_zero_grid"], MAP)
    compare(scored, f"{key}_zero")


def test_visual_map_of_each_scale(features, few_shot):
    maps = torch.stack(few_shot.visual_maps(features), dim=1)
    check("visual maps", maps[:6], GOLDEN["visual"], MAP)


@pytest.mark.parametrize("name", NAMES)
def test_few_shot(features, few_shot, name):
    compare(few_shot.score(features, [name] * 12), f"{name.replace(' ', '_')}_few")


def compare(scored, key):
    """Scores of six pictures, full maps of two."""
    check("score", scored.score[:6], GOLDEN[f"{key}_score"], SCORE)
    for i in range(2):
        full = upsample(sigmoid(scored.map_logits[i].numpy()), (72, 72), "bilinear")
        check("map", full, GOLDEN[f"{key}_map"][i], MAP)
