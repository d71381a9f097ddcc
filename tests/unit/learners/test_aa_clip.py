"""AA-CLIP: prototypes, adapters, both stages, and where `paper` and `strict` part."""

import pytest
import torch
import torch.nn.functional as F

from zsad.clip.adaptation import run_blocks
from zsad.clip.backbone import FeatureSpec
from zsad.common.errors import UserError
from zsad.learners.aa_clip import AaClip, Config, blurred
from zsad.learners.aa_clip.adapters import Adapter, residual
from zsad.learners.base import Milestones


@pytest.fixture
def features(clip, build, pictures):
    return clip.image.encode(pictures, build("aa_clip").training_spec)


def test_parameters_at_vit_l(vit_l_shapes):
    """3 text adapters and a projection, 6 image adapters, a projection for each of 4 layers, one for the image."""
    learner = AaClip(Config(), vit_l_shapes)
    assert {name: tuple(value.shape) for name, value in learner.state_dict().items()} == {
        **{f"text_adapter.{i}.fc.0.weight": (768, 768) for i in range(4)},
        **{f"image_adapter.layer_adapters.{i}.fc.0.weight": (1024, 1024) for i in range(6)},
        **{f"image_adapter.seg_proj.{i}.fc.weight": (768, 1024) for i in range(4)},
        "image_adapter.det_proj.fc.weight": (768, 1024),
    }
    assert sum(parameter.numel() for parameter in learner.parameters()) == 12_582_912
    assert (learner.vv_start, learner.layers) == (5, (6, 12, 18, 24))


def test_official_constants_are_the_defaults(build):
    config = build("aa_clip").config
    assert (config.text_epochs, config.text_batch_size, config.text_lr) == (5, 16, 1e-5)
    assert (config.epochs, config.train_batch_size, config.lr, config.betas) == (20, 2, 5e-4, (0.5, 0.999))
    assert (config.text_share, config.image_share, config.orthogonal_weight) == (0.1, 0.1, 0.1)
    assert (config.temperature, config.blur, config.relu, config.milestones) == (0.01, 1.0, False, (16000, 32000))


def test_stages_with_their_own_batch_and_rate(build):
    text, image = build("aa_clip").phases()
    assert (text.batch_size, text.schedule, text.groups[0]["lr"]) == (16, None, 1e-5)
    assert (image.batch_size, image.groups[0]["lr"]) == (None, 5e-4)
    assert [image.schedule.factor(step, 7) for step in (0, 15_999, 16_000, 32_000)] == [1, 1, 0.5, 0.25]
    assert Milestones((), 0.5).factor(9, 1) == 1


def test_scoring_reads_one_block_and_training_clips_feature_besides(build):
    learner = build("aa_clip")
    assert learner.spec == FeatureSpec(entry=1)
    assert learner.training_spec == FeatureSpec(entry=1, cls_post=True)
    assert build("aa_clip", vv_start=0).spec.entry == 0


@torch.no_grad()
def test_where_the_tower_is_entered_changes_nothing(clip, build, pictures):
    """V-V attention from the first block on asks for the state in front of it; the adapted tower stays the same."""
    scored = []
    for start in (0, 1):
        learner = build("aa_clip", vv_start=start)
        scored.append(learner.score(clip.image.encode(pictures[:2], learner.spec), ["nut", "bolt"]))
    torch.testing.assert_close(scored[0].map_logits, scored[1].map_logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(scored[0].score, scored[1].score, rtol=0, atol=1e-6)


@torch.no_grad()
def test_without_adapters_the_towers_are_clips_own(clip, build, pictures, features):
    """Shares of 0 leave the projections: of plain tokens after ln_post."""
    learner = build("aa_clip", text_share=0.0, image_share=0.0)
    layers, image = learner.image_features(features)
    plain = clip.image.encode(pictures, FeatureSpec(layers=(1, 4)))
    for index, layer in ((0, 1), (3, 4)):
        head = learner.image_adapter.seg_proj[index]
        wanted = F.normalize(head(clip.image.ln_post(plain.layer(layer))), dim=-1)
        torch.testing.assert_close(layers[index], wanted, rtol=0, atol=1e-5)
    last = learner.image_adapter.det_proj(clip.image.ln_post(plain.layer(4)))
    torch.testing.assert_close(image, F.normalize(last, dim=-1).mean(1), rtol=0, atol=1e-5)


def test_an_adapter_is_as_long_as_its_token():
    torch.manual_seed(0)
    adapter, x = Adapter(8, 8), torch.randn(2, 3, 8)
    mixed = residual([adapter], 0.25)(0, x)
    added = (mixed - 0.75 * x) / 0.25
    torch.testing.assert_close(added.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(F.normalize(added, dim=-1), F.normalize(F.leaky_relu(adapter.fc[0](x)), dim=-1))
    assert residual([adapter], 0.25)(1, x) is x


@torch.no_grad()
def test_a_name_is_encoded_once_and_prototypes_are_means_of_unit_prompts(build, monkeypatch):
    learner, seen = build("aa_clip"), []
    right = AaClip._prototypes
    monkeypatch.setattr(AaClip, "_prototypes", lambda self, name: seen.append(name) or right(self, name))
    text = learner.text_features(["nut", "bolt", "nut"])
    assert seen == ["nut", "bolt"]
    assert torch.equal(text[0], text[2])
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(3, 2))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(text[0], text[1], rtol=0, atol=1e-3)


@torch.no_grad()
def test_attention_over_pictures_depends_on_the_batch_and_over_patches_does_not(build, features):
    for over, same in (("pictures", False), ("patches", True)):
        learner = build("aa_clip", vv_over=over)
        whole = learner.frozen_patches(features)[:2]
        pair = learner.frozen_patches(features.select([0, 1]))
        assert bool((whole - pair).abs().max() < 1e-5) is same


@torch.no_grad()
def test_a_picture_alone_attends_to_itself(clip, build, features):
    """Over one picture the softmax has one entry: attention hands the value on."""
    alone = build("aa_clip").frozen_patches(features.select([3]))

    def value(index, block, x):
        return block.project(block.qkv(x)[2])

    *_, x = run_blocks(clip.image.blocks, features.entry[3:4], 1, attention=value)
    wanted = F.normalize(clip.image.ln_post(x[:, 1:]) @ clip.image.projection, dim=-1)
    wanted = wanted + F.normalize(features.cls_post[3:4], dim=-1)[:, None]
    torch.testing.assert_close(alone, wanted, rtol=0, atol=1e-5)


def test_the_first_stage_reaches_no_image_adapter_and_the_second_no_text_adapter(build, features, make_batch):
    learner = build("aa_clip")
    for loss, learns in ((learner.text_loss, "text_adapter"), (learner.loss, "image_adapter")):
        learner.zero_grad()
        torch.stack(list(loss(make_batch(features, range(4))).values())).sum().backward()
        assert {name.split(".")[0] for name, value in learner.named_parameters() if value.grad is not None} == {learns}


def test_filter_keeps_a_constant_and_spreads_a_peak():
    torch.testing.assert_close(blurred(torch.full((1, 9, 9), 3.0), 1.0), torch.full((1, 9, 9), 3.0))
    peak = torch.zeros(1, 9, 9)
    peak[0, 4, 4] = 1
    spread = blurred(peak, 1.0)[0]
    assert spread.sum().item() == pytest.approx(1)
    assert (spread[4] > 0).tolist() == [False, *[True] * 7, False]  # 7 patches wide
    assert (blurred(peak, 1.5)[0][4] > 0).all()
    assert torch.equal(blurred(peak, 0.0), peak)


@torch.no_grad()
def test_filter_and_score_follow_the_target_under_paper_only(build, features):
    few, names = features.select([0, 1, 2]), ["nut"] * 3
    for protocol, same in (("strict", True), ("paper", False)):
        learner = build("aa_clip", protocol=protocol)
        industrial, medical = (learner.score(few, names, target) for target in ("mvtec", "brainmri"))
        assert torch.equal(industrial.map_logits, medical.map_logits) is same
        assert torch.equal(industrial.score, medical.score) is same
    largest = medical.map_logits.flatten(1).amax(1)
    assert torch.equal(medical.score, largest.sigmoid())
    assert learner.image_top == {"": 1 / 72**2}
    assert build("aa_clip").image_top is None


@torch.no_grad()
def test_the_strict_score_is_the_mean_of_map_and_image(build, features):
    """Both in cosines: 0.02 of log-odds are one cosine of the unfiltered map."""
    strict, paper = (build("aa_clip", protocol=protocol, blur=0.0) for protocol in ("strict", "paper"))
    got, cosine = strict.score(features, ["nut"] * 12), paper.score(features, ["nut"] * 12).score
    text, (layers, _) = strict.text_features(["nut"]), strict.image_features(features)
    difference = (torch.stack(layers).mean(0) @ (text[0, 1] - text[0, 0])).amax(1)
    torch.testing.assert_close(got.score, ((1 + difference.double()) / 2 + cosine) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"text_adapters": 4}, "text_adapters 4: the text tower takes at most 3"),
        ({"image_adapters": 5}, "image_adapters 5: the image tower has 4 blocks"),
        ({"layers": [5]}, r"layers \[5\]: the image tower has blocks 1 to 4"),
    ],
)
def test_depths_that_are_not_there_are_refused(build, settings, complaint):
    with pytest.raises(UserError, match=complaint):
        build("aa_clip", **settings)
