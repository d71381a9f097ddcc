"""WinCLIP: harmonic means of window scores, zero-shot."""

import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import ImageFeatures
from zsad.clip.windows import window_patches
from zsad.common.errors import UserError


@pytest.fixture(scope="module")
def features(clip, build, pictures):
    return clip.image.encode(pictures[:4], build("winclip").spec)


def probabilities(learner, features, name):
    """Softmax over both prototypes at temperature 0.07, second entry."""
    return (F.normalize(features.double(), dim=-1) @ learner.prototypes(name).double().T / 0.07).softmax(-1)[..., 1]


def test_score_and_map_follow_the_formulas(build, features):
    learner, names = build("winclip"), ["bottle", "brain", "bottle", "metal nut"]
    scored = learner.score(features, names)
    assert scored.map_logits.shape == (4, 9, 9)
    for i, name in enumerate(names):
        picture = probabilities(learner, features.cls_post[i], name)
        assert scored.score[i].item() == pytest.approx(picture.item(), abs=1e-6)
        means = [picture.expand(81)]
        for scale in (2, 3):
            patches, s = window_patches(9, scale), probabilities(learner, features.window(scale)[i], name)
            covering = [s[(patches == patch).any(1)] for patch in range(81)]
            means.append(torch.stack([len(own) / (1 / own).sum() for own in covering]))
        wanted = 3 / sum(1 / mean for mean in means)
        torch.testing.assert_close(scored.map_logits[i].sigmoid().flatten(), wanted, rtol=0, atol=1e-6)


def test_the_harmonic_mean_of_equal_windows_is_theirs(clip, build):
    one = torch.randn(2, 1, clip.joint_width, generator=torch.Generator().manual_seed(0))
    same = {"cls_post": one[:, 0], "window_2": one.expand(-1, 64, -1), "window_3": one.expand(-1, 49, -1)}
    scored = build("winclip").score(ImageFeatures(same), ["bottle"] * 2)
    torch.testing.assert_close(scored.map_logits.sigmoid(), scored.score[:, None, None].expand(-1, 9, 9))


def test_no_map_is_lost_to_rounding(build, features):
    """At the lowest temperature softmaxes saturate; their log-odds do not."""
    scored = build("winclip", temperature=0.01).score(features, ["bottle"] * 4)
    assert scored.map_logits.isfinite().all()
    assert len(scored.map_logits.unique()) == scored.map_logits.numel()


def test_scales_are_a_setting(clip, build, pictures):
    learner = build("winclip", scales=[1, 9])
    features = clip.image.encode(pictures[:2], learner.spec)
    assert features.tensors.keys() == {"cls_post", "window_1", "window_9"}
    assert learner.score(features, ["bottle"] * 2).map_logits.shape == (2, 9, 9)
    for scales in ([2, 10], [0]):
        with pytest.raises(UserError, match=r"scales \[.*windows have sides of 1 to 9 patches"):
            build("winclip", scales=scales)


def test_nothing_is_learned_and_nothing_read_from_the_target(build, features):
    learner = build("winclip")
    assert learner.checkpoint() == {}
    paper = build("winclip", protocol="paper")
    wanted = learner.score(features, ["bottle"] * 4, "visa")
    for other in (learner.score(features, ["bottle"] * 4, "mvtec"), paper.score(features, ["bottle"] * 4, "visa")):
        assert torch.equal(other.score, wanted.score)
        assert torch.equal(other.map_logits, wanted.map_logits)
