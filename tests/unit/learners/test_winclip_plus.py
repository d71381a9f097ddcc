"""WinCLIP+: the memory of k normal pictures."""

import pytest
import torch
import torch.nn.functional as F

from zsad.learners.few_shot import Support
from zsad.learners.lookup import build_config
from zsad.learners.shared.memory import distance
from zsad.learners.winclip_plus import WinClipPlus


@pytest.fixture(scope="module")
def adapted(clip, pictures):
    """adapted(indices of the support, **settings) → learner."""

    def make(indices, **settings):
        learner = WinClipPlus(build_config("winclip_plus", settings, "few_shot.x"), clip, shots=len(indices))
        encode = lambda images: clip.image.encode(images, learner.support_spec)  # noqa: E731
        assert list(learner.adapt(Support(pictures[indices], "bottle", "bottle", encode, 0))) == []
        return learner

    return make


@pytest.fixture(scope="module")
def features(clip, pictures, adapted):
    return clip.image.encode(pictures[:6], adapted([0]).spec)


def test_a_remembered_picture_has_an_empty_visual_map(features, adapted):
    maps = torch.stack(adapted([2, 0, 11]).visual_maps(features))
    assert maps[:, [0, 2]].abs().max() < 1e-6
    assert maps[:, [1, 3, 4, 5]].amin(0).max() > 0.01


def test_a_distance_of_zero_is_finite_and_below_it_is_nothing():
    unit = F.normalize(torch.randn(50, 32, generator=torch.Generator().manual_seed(0)), dim=-1)
    own = distance(unit[None], unit)
    assert own.min() >= 0
    assert own.max() < 1e-6
    assert distance(-unit[None, :1], unit[:1]).item() == pytest.approx(1)


def test_score_and_map_are_means_of_text_and_visual(features, adapted, build):
    learner = adapted([10, 11])
    text, both = build("winclip").score(features, ["bottle"] * 6), learner.score(features, ["bottle"] * 6)
    visual = torch.stack(learner.visual_maps(features)).mean(0)
    torch.testing.assert_close(both.score, (text.score + visual.flatten(1).amax(1)) / 2)
    torch.testing.assert_close(both.map_logits.sigmoid(), (text.map_logits.sigmoid() + visual) / 2)


def test_the_memory_knows_no_place_and_no_order(clip, pictures, features, adapted):
    """A remembered picture that is shifted by one patch stays close; the order of the support changes nothing."""
    first, second = adapted([7, 9]).score(features, ["x"] * 6), adapted([9, 7]).score(features, ["x"] * 6)
    torch.testing.assert_close(first.score, second.score, rtol=0, atol=1e-7)
    tokens = adapted([0]).memory_tokens
    assert distance(features.tokens[:1].roll(5, dims=1), tokens).max() < 1e-6


def test_more_support_never_makes_a_patch_more_anomalous(features, adapted):
    few, more = adapted([10]).visual_maps(features), adapted([10, 11, 9]).visual_maps(features)
    assert all((b <= a + 1e-6).all() for a, b in zip(few, more, strict=True))


def test_checkpoint_restores_into_a_fresh_learner(clip, features, adapted, tmp_path):
    learner = adapted([10, 11], scales=[2])
    tensors = learner.checkpoint()
    assert {name: tuple(value.shape) for name, value in tensors.items()} == {
        "memory_tokens": (2 * 81, 128),
        "memory_window_2": (2 * 64, 128),
    }
    fresh = WinClipPlus(learner.config, clip, shots=2)
    fresh.restore(tensors, tmp_path / "seed_0.safetensors")
    wanted, got = learner.score(features, ["bottle"] * 6), fresh.score(features, ["bottle"] * 6)
    assert torch.equal(wanted.score, got.score)
    assert torch.equal(wanted.map_logits, got.map_logits)


def test_order_batch_size_and_company_change_nothing(clip, pictures, adapted):
    learner = adapted([10, 11])
    whole = learner.score(clip.image.encode(pictures[:10], learner.spec), ["bottle"] * 10)
    for order in ([3], [9, 0, 4], list(range(9, -1, -1))):
        part = learner.score(clip.image.encode(pictures[order], learner.spec), ["bottle"] * len(order))
        torch.testing.assert_close(part.score, whole.score[order], rtol=0, atol=1e-6)
        torch.testing.assert_close(part.map_logits, whole.map_logits[order], rtol=0, atol=1e-5)
