"""FAPrompt: compound prompts, patch selection, both passes, losses, and where `paper` and `strict` part."""

import math

import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import ImageFeatures, load_clip
from zsad.clip.text import DeepTokens
from zsad.common.errors import UserError
from zsad.learners.faprompt import (
    Config,
    FaPrompt,
    image_focal_loss,
    image_score,
    mean_of_probabilities,
    orthogonality_loss,
    prior_loss,
    prototype,
)
from zsad.learners.shared.losses import dice_loss


@pytest.fixture
def features(clip, build, pictures):
    return clip.image.encode(pictures, build("faprompt").spec)


# --- parameters and settings -----------------------------------------------------------------------------------------


def test_parameters_at_vit_l(vit_l_shapes):
    """4,100,064 trained scalars, all of them stored; the official module holds 5.5 million more that it never uses."""
    learner = FaPrompt(Config(), vit_l_shapes)
    assert {name: tuple(value.shape) for name, value in learner.checkpoint().items()} == {
        "ctx_pos": (1, 1, 5, 768),
        "ctx_neg": (1, 10, 2, 768),
        "patch_meta_net.linear1.weight": (480, 7680),
        "patch_meta_net.linear1.bias": (480,),
        "patch_meta_net.linear2.weight": (768, 480),
        "patch_meta_net.linear2.bias": (768,),
        **{f"compound_prompts_text.{i}": (4, 768) for i in range(8)},
    }
    assert sum(parameter.numel() for parameter in learner.parameters()) == 4_100_064
    assert learner.spec.vv_start == 5
    assert learner.sigma == 10 / 518


def test_fresh_parameters(clip):
    """Tokens N(0, 0.02); the DAP network keeps torch's default, uniform within 1/√inputs."""
    torch.manual_seed(0)
    for name, value in FaPrompt(Config(), clip).named_parameters():
        if name.startswith("patch_meta_net"):
            limit = (1280 if "linear1" in name else 80) ** -0.5
            assert 0.8 * limit < value.abs().max() <= limit, name
        else:
            assert value.std().item() == pytest.approx(0.02, rel=0.1), name


def test_more_patches_than_an_image_has_are_refused(build):
    assert build("faprompt", dap_patches=81).patch_meta_net.linear1.in_features == 81 * 128
    with pytest.raises(UserError, match="dap_patches 82: an image has 81 patches"):
        build("faprompt", dap_patches=82)


def test_widths_of_image_and_text_may_differ(backbone, build, pictures):
    clip = load_clip(backbone(embed_dim=64), 72, "quickgelu", "bilinear", torch.device("cpu"))
    learner = build("faprompt", clip=clip)
    assert (learner.patch_meta_net.linear1.in_features, learner.patch_meta_net.linear2.out_features) == (640, 128)
    assert learner.score(clip.image.encode(pictures[:2], learner.spec), ["", ""]).score.shape == (2,)


# --- prompts ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("abnormal_tokens", [1, 2])
def test_prompt_layout(clip, build, abnormal_tokens):
    """SOT, 5 normal tokens, `object .`, EOT at 8; abnormal: the same 5, then its own, `damaged object .`, EOT at 11."""
    learner = build("faprompt", abnormal_tokens=abnormal_tokens)
    deep = DeepTokens(list(learner.compound_prompts_text))
    start = [clip.text.embed([49406]), learner.ctx_pos[0, 0]]
    normal = torch.cat([*start, clip.text.embed([14115, 269, 49407])])
    damaged = clip.text.embed([13568, 14115, 269, 49407])
    abnormal = torch.stack([torch.cat([*start, tokens, damaged]) for tokens in learner.ctx_neg[0]])
    assert (len(normal), abnormal.shape[:2]) == (9, (10, 10 + abnormal_tokens))
    prefix, bias = learner.prefix(), torch.zeros(1, 128)
    got = learner.normal_feature(prefix), learner.abnormal_features(prefix, bias)[0]
    torch.testing.assert_close(got[0], clip.text.encode(normal[None], deep=deep), rtol=0, atol=1e-5)
    torch.testing.assert_close(got[1], clip.text.encode(abnormal, deep=deep), rtol=0, atol=1e-5)


@torch.no_grad()
def test_bias_moves_every_abnormal_token_alike(clip, build):
    """Per image; the same vector on both tokens of all ten prompts, nothing else."""
    learner, bias = build("faprompt"), torch.randn(3, 128, generator=torch.Generator().manual_seed(0))
    got = learner.abnormal_features(learner.prefix(), bias)
    for image in range(3):
        moved = build("faprompt")
        moved.ctx_neg += bias[image]
        wanted = moved.abnormal_features(moved.prefix(), torch.zeros(1, 128))[0]
        torch.testing.assert_close(got[image], wanted, rtol=0, atol=1e-5)


@torch.no_grad()
def test_half_precision_switch(build):
    exact, rounded = build("faprompt", deep_fp16=False), build("faprompt")
    difference = F.normalize(exact.normal_feature(exact.prefix())) - F.normalize(
        rounded.normal_feature(rounded.prefix())
    )
    assert 1e-7 < difference.abs().max() < 1e-3


def test_prototype_is_the_mean_of_raw_features():
    """Norms are weights: a feature twice as long pulls the prototype towards itself."""
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    torch.testing.assert_close(prototype(torch.stack([a, b])[None]), torch.tensor([[0.5**0.5, 0.5**0.5]]))
    torch.testing.assert_close(prototype(torch.stack([2 * a, b])[None]), torch.tensor([[2.0, 1.0]]) / 5**0.5)


# --- patches that DAP reads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "selection"), [("strict", "topk"), ("paper", "first")])
def test_selection_follows_from_the_protocol_unless_given(build, protocol, selection):
    assert build("faprompt", protocol=protocol).selection == selection
    assert build("faprompt", protocol=protocol, dap_selection="first").selection == "first"
    assert build("faprompt", protocol=protocol, dap_selection="topk").selection == "topk"


def test_selected_patches_by_hand(build):
    patches = torch.randn(2, 81, 128, generator=torch.Generator().manual_seed(0))
    logits = torch.zeros(2, 81)
    logits[0, [40, 7, 80]] = torch.tensor([1.0, 3.0, 2.0])
    logits[1, [0, 80]] = torch.tensor([-1.0, 50.0])
    unit = F.normalize(patches, dim=-1)
    topk = build("faprompt", dap_patches=4).selected(patches, logits)
    first = build("faprompt", dap_patches=4, dap_selection="first").selected(patches, logits)
    assert torch.equal(topk[0], unit[0, [7, 80, 40, 0]])  # equal ones in raster order
    assert torch.equal(topk[1], unit[1, [80, 1, 2, 3]])
    assert torch.equal(first, unit[:, :4])


@torch.no_grad()
@pytest.mark.parametrize(("selection", "moved"), [("first", slice(10, 81)), ("topk", slice(0, 81))])
def test_order_of_patches_that_matters(build, features, selection, moved):
    """`first` ignores every patch but the first ten; `topk` ignores where a patch lies."""
    learner = build("faprompt", dap_selection=selection)
    order = torch.arange(81)
    order[moved] = order[moved][torch.randperm(len(order[moved]), generator=torch.Generator().manual_seed(0))]
    shuffled = ImageFeatures({"cls": features.cls, "patches": features.patches[:, order]})
    before, after = learner.passes(features), learner.passes(shuffled)
    torch.testing.assert_close(after.bias, before.bias, rtol=0, atol=1e-5)
    torch.testing.assert_close(after.adapted, before.adapted[:, order], rtol=0, atol=1e-4)
    if selection == "first":
        swapped = ImageFeatures({"cls": features.cls, "patches": features.patches.flip(1)})
        assert (learner.passes(swapped).bias - before.bias).abs().max() > 0.01


# --- losses ----------------------------------------------------------------------------------------------------------


def test_orthogonality_by_hand():
    assert orthogonality_loss(3 * torch.eye(10)).item() == 0
    assert orthogonality_loss(torch.randn(1, 8).expand(10, -1)).item() == pytest.approx(45)
    pairs = torch.tensor([[2.0, 0.0], [-1.0, 0.0], [3.0, 3.0]])  # cos -1, 1/√2, -1/√2: their size counts
    assert orthogonality_loss(pairs).item() == pytest.approx(1 + 2**0.5)


def test_prior_sums_over_normal_images():
    bias = torch.tensor([[1.0, 3.0], [2.0, 2.0], [9.0, 9.0]])
    assert prior_loss(bias, torch.tensor([0.0, 0.0, 1.0])).item() == 5 + 4
    assert prior_loss(bias, torch.ones(3)).item() == 0


def test_image_focal_takes_the_score_for_a_logit():
    zero, one = torch.zeros(1), torch.ones(1)
    assert image_focal_loss(zero, zero, "logits").item() == pytest.approx(0.25 * math.log(2))
    assert image_focal_loss(one, one, "logits").item() == pytest.approx(0.2689414**2 * 0.3132617, rel=1e-5)
    assert image_focal_loss(zero, zero, "prob").item() == 0
    assert image_focal_loss(0.5 * one, one, "prob").item() == pytest.approx(0.25 * math.log(2))


def test_image_score_by_hand():
    """r = 0.5, m1 = 0.8, m2 = 0.2: ½ (0.5 + (1.6 + 0.2)/3)."""
    four = math.log(4)
    static, adapted = torch.tensor([[0.0, four, -four]]), torch.tensor([[-9.0, -four, -four]])
    assert image_score(torch.zeros(1), static, adapted).item() == pytest.approx(0.55)


def test_mean_of_probabilities_keeps_what_saturates():
    a, b = torch.tensor([0.0, 50.0, -60.0, 50.0]).double(), torch.tensor([2.0, 50.0, -60.0, -50.0]).double()
    wanted = [math.log((0.5 + 0.8807971) / (0.5 + 0.1192029)), 50, -60, 0]
    assert mean_of_probabilities(a, b).tolist() == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_loss_is_the_two_channel_form(build, features, make_batch):
    """Both softmax channels upsampled apart, focal on a smoothed one-hot target, no factor 4; CE on two logits."""
    learner, batch = build("faprompt"), make_batch(features, range(4))
    terms, passes = learner.loss(batch), learner.passes(batch.features)
    onehot = torch.stack([1 - batch.masks, batch.masks], dim=1).clamp(1e-5, 1 - 1e-5)
    for name, logits, weight in (("static", passes.static, 1.0), ("adapted", passes.adapted, 0.5)):
        pair = torch.stack([torch.zeros_like(logits), logits], dim=1).softmax(1).unflatten(2, (9, 9))
        maps = F.interpolate(pair, 72, mode="bilinear", align_corners=False)
        p_t = (onehot * maps).sum(1) + 1e-5
        focal = -((1 - p_t) ** 2 * p_t.log()).mean()
        wanted = focal + dice_loss(maps[:, 1], batch.masks) + dice_loss(maps[:, 0], 1 - batch.masks)
        assert terms[name].item() == pytest.approx(weight * wanted.item(), rel=1e-5)
    logits = torch.stack([torch.zeros(4), passes.image], dim=1)
    assert terms["ce"].item() == pytest.approx(F.cross_entropy(logits, batch.labels).item(), rel=1e-5)
    assert set(terms) == {"static", "adapted", "ce", "image", "orthogonal", "prior"}


def test_weights_scale_their_terms(build, features, make_batch):
    batch = make_batch(features, range(4))
    before = build("faprompt").loss(batch)
    after = build("faprompt", adapted_weight=1.0, orthogonal_weight=0.3, prior_weight=0.0).loss(batch)
    factors = {"static": 1, "adapted": 2, "ce": 1, "image": 1, "orthogonal": 3, "prior": 0}
    for name, factor in factors.items():
        assert after[name].item() == pytest.approx(factor * before[name].item(), rel=1e-6), name


def test_who_learns_from_what(build, features, make_batch):
    """Pass 1 and orthogonality do not reach the DAP network; the prior reaches nothing else."""
    learner = build("faprompt")
    terms = learner.loss(make_batch(features, range(4)))
    parameters = dict(learner.named_parameters())

    def touched(name):
        gradients = torch.autograd.grad(terms[name], list(parameters.values()), retain_graph=True, allow_unused=True)
        found = {n for n, g in zip(parameters, gradients, strict=True) if g is not None and g.abs().max() > 0}
        return {parameter.split(".")[0] for parameter in found}

    tokens = {"ctx_pos", "ctx_neg", "compound_prompts_text"}
    assert touched("static") == touched("orthogonal") == tokens
    assert touched("adapted") == touched("ce") == touched("image") == tokens | {"patch_meta_net"}
    assert touched("prior") == {"patch_meta_net"}


def test_image_score_reaches_dap_through_image_and_patches(build, features):
    """½ r and ⅙ m2 depend on the bias, ⅓ m1 does not."""
    learner = build("faprompt")
    passes = learner.passes(features)
    weight = learner.patch_meta_net.linear2.weight
    for value, depends in ((passes.image, True), (passes.adapted.amax(1), True), (passes.static.amax(1), False)):
        (gradient,) = torch.autograd.grad(value.sum(), weight, retain_graph=True, allow_unused=True)
        assert (gradient is not None and bool(gradient.abs().max() > 0)) == depends


# --- inference -------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_score_and_map(build, features, protocol):
    """Written out from the text features: image against pass 2 only, map the mean of both passes."""
    learner = build("faprompt", protocol=protocol)
    prefix = learner.prefix()
    normal = F.normalize(learner.normal_feature(prefix)[0], dim=-1)
    image, patches = F.normalize(features.cls, dim=-1), F.normalize(features.patches, dim=-1)
    static = torch.stack([normal, prototype(learner.abnormal_features(prefix, torch.zeros(1, 128)))[0]])
    q1 = (patches @ static.T / 0.07).softmax(-1)[..., 1]
    read = patches[:, :10] if protocol == "paper" else patches.take_along_dim(q1.topk(10).indices[..., None], 1)
    adapted = prototype(learner.abnormal_features(prefix, learner.patch_meta_net(read.flatten(1))))
    pairs = torch.stack([normal.expand(12, -1), adapted], dim=1)
    q2 = (torch.einsum("bnd,bcd->bnc", patches, pairs) / 0.07).softmax(-1)[..., 1]
    r = (torch.einsum("bd,bcd->bc", image, pairs) / 0.07).softmax(-1)[:, 1]
    scored = learner.score(features, [""] * 12)
    wanted = (r + (2 * q1.amax(1) + q2.amax(1)) / 3) / 2
    torch.testing.assert_close(scored.score.float(), wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(scored.map_logits.sigmoid().flatten(1).float(), (q1 + q2) / 2, rtol=0, atol=1e-5)
    assert scored.map_logits.shape == (12, 9, 9)


def test_protocols_differ_in_selection_only(build, features):
    """Neither reads a constant from the target."""
    for protocol in ("strict", "paper"):
        learner = build("faprompt", protocol=protocol, dap_selection="topk")
        scored = [learner.score(features, [""] * 12, target) for target in ("visa", "mvtec")]
        assert torch.equal(scored[0].score, scored[1].score)
    strict, paper = (build("faprompt", protocol=p, dap_selection="first") for p in ("strict", "paper"))
    assert torch.equal(strict.score(features, [""] * 12).map_logits, paper.score(features, [""] * 12).map_logits)
    plain = [build("faprompt", protocol=p).score(features, [""] * 12).score for p in ("strict", "paper")]
    assert (plain[0] - plain[1]).abs().max() > 1e-4
