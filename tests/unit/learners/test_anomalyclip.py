"""AnomalyCLIP: prompt layout, parameters, losses, inference."""

import pytest
import torch
import torch.nn.functional as F

from zsad.clip.text import DeepTokens
from zsad.learners.anomalyclip import AnomalyClip, Config
from zsad.learners.shared.losses import dice_loss


@pytest.fixture
def features(clip, build, pictures):
    return clip.image.encode(pictures, build("anomalyclip").spec)


def test_parameters_at_vit_l(vit_l_shapes):
    """43,008 scalars; V-V over the last 19 of 24 blocks; 8 sets of deep tokens for 12 text blocks."""
    learner = AnomalyClip(Config(), vit_l_shapes)
    assert {name: tuple(value.shape) for name, value in learner.state_dict().items()} == {
        "ctx_pos": (1, 1, 12, 768),
        "ctx_neg": (1, 1, 12, 768),
        **{f"compound_prompts_text.{i}": (4, 768) for i in range(8)},
    }
    assert sum(parameter.numel() for parameter in learner.parameters()) == 43_008
    assert learner.spec.vv_start == 5
    assert learner.sigma == 4 / 518


def test_fresh_parameters_have_the_papers_spread(clip):
    torch.manual_seed(0)
    values = torch.cat([p.flatten() for p in AnomalyClip(Config(), clip).parameters()])
    assert values.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(values.mean().item()) < 0.001


@torch.no_grad()
def test_prompt_layout(clip, build):
    """SOT, 12 learned tokens, `object .` or `damaged object .`, EOT at position 15 or 16, nothing after it."""
    learner = build("anomalyclip")
    ids = {"ctx_pos": [14115, 269, 49407], "ctx_neg": [13568, 14115, 269, 49407]}
    deep = DeepTokens(list(learner.compound_prompts_text))
    for got, (context, words) in zip(learner.text_features(), ids.items(), strict=True):
        rows = [clip.text.embed([49406]), getattr(learner, context)[0, 0], clip.text.embed(words)]
        prompt = torch.cat(rows)
        assert len(prompt) == 13 + len(words)
        torch.testing.assert_close(got, F.normalize(clip.text.encode(prompt[None], deep=deep)), rtol=0, atol=1e-6)


@torch.no_grad()
def test_every_learned_token_is_read(build):
    learner, generator = build("anomalyclip"), torch.Generator().manual_seed(0)
    before = torch.cat(learner.text_features())
    for name, parameter in learner.named_parameters():
        kept = parameter.detach().clone()
        parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        change = (torch.cat(learner.text_features()) - before).abs().amax(1)
        parameter.copy_(kept)
        assert (change > 1e-5).tolist() == [name != "ctx_neg", name != "ctx_pos"], name


@torch.no_grad()
def test_half_precision_switch(build):
    difference = torch.cat(build("anomalyclip").text_features()) - torch.cat(
        build("anomalyclip", deep_fp16=False).text_features()
    )
    assert 1e-7 < difference.abs().max() < 1e-3


@torch.no_grad()
def test_score_and_map_are_two_way_softmaxes(build, features):
    learner = build("anomalyclip")
    text = torch.cat(learner.text_features())
    scored = learner.score(features, [""] * 12)
    image = (F.normalize(features.cls, dim=-1) @ text.T / 0.07).softmax(-1)[:, 1]
    patches = (F.normalize(features.patches, dim=-1) @ text.T / 0.07).softmax(-1)[..., 1]
    torch.testing.assert_close(scored.score.float(), image, rtol=0, atol=1e-5)
    torch.testing.assert_close(scored.map_logits.sigmoid().flatten(1), patches, rtol=0, atol=1e-5)
    assert scored.map_logits.shape == (12, 9, 9)


def test_loss_is_the_two_channel_form(build, features, make_batch):
    """Cross entropy on two logits; both softmax channels upsampled apart, focal on a smoothed one-hot target."""
    learner, batch = build("anomalyclip"), make_batch(features, range(4))
    text = torch.cat(learner.text_features())
    logits = F.normalize(batch.features.cls, dim=-1) @ text.T / 0.07
    patches = (F.normalize(batch.features.patches, dim=-1) @ text.T / 0.07).softmax(-1)
    maps = F.interpolate(patches.transpose(1, 2).unflatten(2, (9, 9)), 72, mode="bilinear", align_corners=False)
    onehot = torch.stack([1 - batch.masks, batch.masks], dim=1).clamp(1e-5, 1 - 1e-5)
    p_t = (onehot * maps).sum(1) + 1e-5
    focal = -((1 - p_t) ** 2 * p_t.log()).mean()
    local = focal + dice_loss(maps[:, 1], batch.masks) + dice_loss(maps[:, 0], 1 - batch.masks)
    terms = learner.loss(batch)
    assert set(terms) == {"global", "local"}
    assert terms["global"].item() == pytest.approx(F.cross_entropy(logits, batch.labels).item(), rel=1e-5)
    assert terms["local"].item() == pytest.approx(4 * local.item(), rel=1e-5)


def test_official_constants_are_the_defaults(build):
    config = build("anomalyclip").config
    assert (config.epochs, config.train_batch_size, config.lr, config.betas) == (15, 8, 0.001, (0.5, 0.999))
    assert (config.temperature, config.local_weight, config.sigma, config.deep_fp16) == (0.07, 4.0, 4.0, True)


def test_a_last_batch_of_one_picture_trains(build, features, make_batch):
    """The official code squeezes the batch dimension of its masks away there."""
    one = make_batch(features, [1])
    assert all(term.isfinite() for term in build("anomalyclip").loss(one).values())


def test_vv_start_changes_the_map_only(clip, build, pictures):
    scored = []
    for start in (1, 2):
        learner = build("anomalyclip", vv_start=start)
        scored.append(learner.score(clip.image.encode(pictures[:2], learner.spec), ["", ""]))
    assert torch.equal(scored[0].score, scored[1].score)
    assert (scored[0].map_logits - scored[1].map_logits).abs().max() > 0.01


def test_paper_reads_nothing_from_the_target(build, features):
    scored = [build("anomalyclip", protocol=p).score(features, [""] * 12, "visa") for p in ("strict", "paper")]
    assert torch.equal(scored[0].score, scored[1].score)
    assert torch.equal(scored[0].map_logits, scored[1].map_logits)
