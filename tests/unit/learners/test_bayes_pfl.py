"""Bayes-PFL: distributions, prompts, maps, losses, stages, and where `paper` and `strict` part."""

import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import load_clip
from zsad.common.errors import UserError
from zsad.inference.maps import encode_logits
from zsad.learners.bayes_pfl import BayesPfl, Config
from zsad.learners.bayes_pfl.losses import balanced_focal, global_dice, orthogonality


@pytest.fixture
def features(clip, build, pictures):
    return clip.image.encode(pictures, build("bayes_pfl").spec)


@pytest.fixture
def z():
    """Vectors for the context of two images and for both states, three samples each."""
    torch.manual_seed(0)
    return [torch.randn(n, 3, 128) for n in (2, 1, 1)]


def counts(groups):
    return [sum(parameter.numel() for parameter in group["params"]) for group in groups]


def test_parameters_at_vit_l(vit_l_shapes):
    """23,497,505 trained scalars: the official 27,370,017 less two decoders and three p_mu heads."""
    learner = BayesPfl(Config(), vit_l_shapes)
    stored = learner.checkpoint()
    assert stored.pop("noise").shape == (3, 10, 768)
    unused = 2 * (768 * 512 + 512 + 512 * 512 + 512 + 512 * 768 + 768) + 3 * (768 * 768 + 768)
    assert sum(parameter.numel() for parameter in learner.parameters()) == 23_497_505 == 27_370_017 - unused
    assert sum(value.numel() for value in stored.values()) == 23_497_505
    assert learner.layers == (6, 12, 18, 24)
    assert stored["PFL_context.amor_u.weight"].shape == (7680, 768)
    assert stored["RCA.linear_proj.3.weight"].shape == (768, 1024)
    assert stored["fuse.fuse_modules.weight"].shape == (512, 4096)


def test_stages_at_vit_l(vit_l_shapes):
    """Prompts, temperatures, flows, the rest; then class and image mapping and fusion."""
    first, second = BayesPfl(Config(), vit_l_shapes).phases()
    assert counts(first.groups) == [34_560, 2, 11_851_806, 8_528_384]
    assert [group["lr"] for group in first.groups] == [0.001, 0.01, 0.001, 0.0001]
    assert (first.epochs, first.schedule.epochs, first.schedule.warmup) == (20, 30, 0.1)
    assert counts(second.groups) == [768 * 769 + 3_082_753]
    assert (second.epochs, second.schedule, second.groups[0]["lr"]) == (10, None, 0.0001)


def test_without_the_second_stage(clip):
    learner = BayesPfl(Config(classifier_epochs=0), clip)
    assert len(learner.phases()) == 1
    assert not {name.split(".")[0] for name in learner.checkpoint()} & {"image_mapping", "fuse"}


def test_fresh_parameters(clip):
    torch.manual_seed(0)
    learner = BayesPfl(Config(), clip)
    assert learner.temperature_pixel.exp().item() == pytest.approx(1 / 0.07)
    for name, mean in (("context", 0), ("state_normal", 0.5), ("state_abnormal", -0.5)):
        prompt = getattr(learner, f"prompt_{name}")
        assert prompt.mean().item() == pytest.approx(mean, abs=0.002)
        assert prompt.std().item() == pytest.approx(0.02, rel=0.1)
    for name, value in learner.named_parameters():
        if name.startswith("RCA.q_proj_pre"):
            assert value.abs().max() <= 128**-0.5
            assert value.any()
        elif name.endswith("bias"):
            assert not value.any(), name
        elif name.endswith("weight"):
            assert value.std().item() == pytest.approx(0.02, rel=0.3), name
        elif name.startswith("PFL_") and value.numel() > 100:
            assert value.std().item() == pytest.approx(1, rel=0.2), name


@pytest.mark.parametrize("over_batch", [True, False])
def test_state_log_determinants_over_the_batch(build, features, make_batch, over_batch):
    learner, batch = build("bayes_pfl", state_logdet_over_batch=over_batch), make_batch(features, range(4))
    torch.manual_seed(0)
    got = learner.loss(batch)["dist"]
    torch.manual_seed(0)
    draws = learner.distributions(features.cls_post[:4], [torch.randn(n, 1, 128) for n in (4, 1, 1)])
    wanted = (draws[0].densities - draws[0].log_det).sum() / 4
    for state in draws[1:]:
        wanted = wanted + state.densities.sum() - state.log_det.sum() / (4 if over_batch else 1)
    assert got.item() == pytest.approx(0.01 * wanted.item(), rel=1e-5)


# --- prompts ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_prompt_layout_and_order(clip, build, z):
    """SOT, 5 context + z_c, 5 state + z of the polarity, name, EOT, padded to 77; pair r·B + b; names are mapped."""
    learner = build("bayes_pfl")
    got = learner.text_features(["metal_nut", "x"], z)
    assert got.shape == (2, 2, 9, 128)
    for n, ids in enumerate(([4044, 6491], clip.text.ids("x")[1:-1])):
        for polarity, states in enumerate((learner.prompt_state_normal, learner.prompt_state_abnormal)):
            for r in range(3):
                for b in range(3):
                    context = learner.prompt_context[b] + z[0][n, r]
                    state = states[b] + z[1 + polarity][0, r]
                    end = clip.text.embed([*ids, 49407, *[0] * (66 - 1 - len(ids))])
                    prompt = torch.cat([clip.text.embed([49406]), context, state, end])
                    assert len(prompt) == 77
                    wanted = F.normalize(clip.text.encode(prompt[None], eot=11 + len(ids)), dim=-1)[0]
                    torch.testing.assert_close(got[n, polarity, 3 * r + b], wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "shown"), [("pcb3", "printed circuit board"), ("macaroni2", "macaroni"), ("chewinggum", "Chewing Gum")]
)
@torch.no_grad()
def test_official_names(build, z, name, shown):
    learner, one = build("bayes_pfl"), [values[:1] for values in z]
    assert torch.equal(learner.text_features([name], one), learner.text_features([shown], one))


def test_name_without_room_is_refused(build, features):
    with pytest.raises(UserError, match="prompt name 'x x .* has 66 tokens, room is for 65"):
        build("bayes_pfl").score(features, [" ".join("x" * 66)] * 12)


@torch.no_grad()
def test_context_varies_between_images_and_states_do_not(build, features):
    learner = build("bayes_pfl")
    context, normal, abnormal = learner.distributions(features.cls_post, learner.test_noise(12))
    assert context.z.shape == (12, 10, 128)
    assert normal.z.shape == abnormal.z.shape == (1, 10, 128)
    assert (context.z[0] - context.z[1]).abs().max() > 0.1


# --- map and score ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_map_and_score_formulas(build, features):
    """Every pair's softmax after upsampling, averaged over layers and pairs; ½ p + ½ mean of the top pixels."""
    learner, names = build("bayes_pfl", samples=2, bank=2), ["x"] * 12
    draws = learner.distributions(features.cls_post, learner.test_noise(12))
    text = learner.text_features(names, [draw.z for draw in draws])  # [12, 2, 4, D]
    maps = []
    for i, layer in enumerate(learner.layers):
        patches = F.normalize(features.layer(layer) @ learner.RCA.linear_proj[i].weight.T, dim=-1)
        t = text.flatten(1, 2)
        q = t @ learner.RCA.q_proj_pre.weight.T + learner.RCA.q_proj_pre.bias
        heads = [
            (q[..., h] @ patches[..., h].mT * 128**-0.5).softmax(-1) @ patches[..., h]
            for h in (slice(k, k + 32) for k in range(0, 128, 32))
        ]
        updated = F.normalize(torch.cat(heads, dim=-1) + t, dim=-1)
        logits = (learner.temperature_pixel.exp() * patches @ updated.mT).mT.unflatten(2, (9, 9))
        large = F.interpolate(logits, size=(72, 72), mode="bilinear", align_corners=True)
        maps.append(large.unflatten(1, (2, 4)).softmax(1)[:, 1])
    wanted = torch.cat(maps, dim=1).mean(1)
    scored = learner.score(features, names)
    torch.testing.assert_close(scored.map_logits.sigmoid(), wanted, rtol=0, atol=1e-5)
    fused = torch.cat([features.layer(layer) for layer in learner.layers], dim=2)
    x = learner.fuse.fuse_modules(fused)
    pooled = (learner.fuse.compress(x).softmax(1) * x).sum(1)
    g = F.normalize(learner.image_mapping(features.cls_post + learner.fuse.post_process(pooled)), dim=-1)
    pairs = F.normalize(learner.class_mapping(text), dim=-1)
    p = (learner.temperature_image.exp() * torch.einsum("npkd,nd->npk", pairs, g)).softmax(1)[:, 1].mean(1)
    top = wanted.flatten(1).sort(1, descending=True).values[:, :39].mean(1)  # 2000 of 518² are 39 of 72²
    torch.testing.assert_close(scored.score.float(), (p + top) / 2, rtol=0, atol=1e-5)


def test_map_is_full_size_or_a_multiple_of_the_grid(build, features):
    assert build("bayes_pfl").map_grid == (72, 72)
    coarse = build("bayes_pfl", map_scale=4)
    assert coarse.map_grid == (36, 36)
    assert coarse.score(features, ["x"] * 12).map_logits.shape == (12, 36, 36)


def test_saturated_maps_keep_their_order(build, features):
    """Where a float32 probability is 1, log-odds still differ."""
    learner = build("bayes_pfl")
    with torch.no_grad():
        learner.temperature_pixel.fill_(7.0)
    logits = learner.score(features, ["x"] * 12).map_logits
    saturated = logits.float().sigmoid() == 1
    assert saturated.sum() > 10
    assert len(set(encode_logits(logits.numpy())[saturated.numpy()].tolist())) > 3


# --- losses ----------------------------------------------------------------------------------------------------------


def test_losses_by_hand():
    """Two anomalous and two normal pixels with p = ½, ¾ | ¼, ½."""
    logits = torch.tensor([[[0.0, 1.0986123], [-1.0986123, 0.0]]])
    mask = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    half, quarter = 0.25 * 0.6931472, 0.0625 * 0.2876821
    assert balanced_focal(logits, mask).item() == pytest.approx(half + quarter, rel=1e-5)  # two means, not one
    assert balanced_focal(logits, torch.zeros_like(mask)).isfinite()
    assert global_dice(logits.sigmoid(), mask).item() == pytest.approx(1 - 2 * 1.25 / (2 + 2), rel=1e-5)


def test_focal_means_over_the_whole_batch():
    """One anomalous pixel among eight: its mean is over one pixel, the other over seven."""
    logits, mask = torch.zeros(2, 2, 2), torch.zeros(2, 2, 2)
    mask[1, 0, 0], logits[1, 0, 0] = 1, 1.0986123
    wanted = 0.0625 * 0.2876821 + 0.25 * 0.6931472
    assert balanced_focal(logits, mask).item() == pytest.approx(wanted, rel=1e-5)


def test_orthogonality():
    """Identical prompts: (B² − B)/B² per polarity, so 4/3 for both with three; orthogonal ones: 0."""
    same = F.normalize(torch.ones(2, 3, 8), dim=-1)
    assert 2 * orthogonality(same).item() == pytest.approx(4 / 3)
    assert orthogonality(torch.eye(8)[None, :3]).item() == 0


def test_who_learns_from_what(build, features, make_batch):
    """One pair of the bank for L_cls and L_seg, all for L_ort; the image mapping learns in the second stage only."""
    learner = build("bayes_pfl")
    torch.manual_seed(0)
    terms = learner.loss(make_batch(features, range(4)))
    parameters = dict(learner.named_parameters())

    def gradients(term):
        found = torch.autograd.grad(term, list(parameters.values()), retain_graph=True, allow_unused=True)
        return {name: g for name, g in zip(parameters, found, strict=True) if g is not None and g.any()}

    def touched(term):
        return {name.split(".")[0] for name in gradients(term)}

    prompts = {"prompt_context", "prompt_state_normal", "prompt_state_abnormal"}
    sampled = {"PFL_context", "PFL_normal", "PFL_abnormal", "context_encoder", "state_encoder"}
    assert touched(terms["cls"]) == prompts | sampled | {"class_mapping", "temperature_image"}
    assert touched(terms["seg"]) == prompts | sampled | {"RCA", "temperature_pixel"}
    assert touched(terms["dist"]) == sampled
    assert touched(terms["ort"]) == prompts | sampled
    assert (gradients(terms["cls"])["prompt_context"].flatten(1).abs().amax(1) > 0).sum() == 1
    assert (gradients(terms["ort"])["prompt_context"].flatten(1).abs().amax(1) > 0).sum() == 3
    second = learner.classifier_loss(make_batch(features, range(4)))["cls"]
    assert {"image_mapping", "fuse", "class_mapping"} <= touched(second)


# --- strict and paper ------------------------------------------------------------------------------------------------


def test_strict_takes_stored_noise_and_paper_draws(build, features):
    """`paper`: states keep the noise of the first image of the run; the context has its own for every image."""
    strict, paper = build("bayes_pfl"), build("bayes_pfl", protocol="paper")
    assert [noise.shape[0] for noise in strict.test_noise(5)] == [1, 1, 1]
    before = strict.noise.clone()
    strict.draw(torch.Generator().manual_seed(9))
    assert not torch.equal(strict.noise, before)
    first, later = paper.test_noise(2), paper.test_noise(3)
    assert first[0].shape == (2, 10, 128)
    assert later[0].shape == (3, 10, 128)
    assert torch.equal(first[1], later[1])
    assert torch.equal(first[2], later[2])
    contexts = torch.cat([first[0], later[0]]).flatten(1)
    assert (torch.cdist(contexts, contexts) > 1).sum() == 20  # five different images
    again = build("bayes_pfl", protocol="paper")
    assert torch.equal(again.test_noise(2)[0], first[0])


def test_paper_leaves_the_fusion_to_the_whole_category(build, features):
    strict, paper = build("bayes_pfl", top_weight=0.0), build("bayes_pfl", protocol="paper")
    assert strict.image_top is None
    shares = paper.image_top
    assert shares[""] * 518**2 == pytest.approx(2000)
    assert shares["screw"] * 518**2 == pytest.approx(20)
    assert len(shares) == 8
    paper.test_noise = strict.test_noise
    torch.testing.assert_close(paper.score(features, ["x"] * 12).score, strict.score(features, ["x"] * 12).score)


# --- settings --------------------------------------------------------------------------------------------------------


def test_layers_follow_the_backbone(build):
    assert build("bayes_pfl").layers == (1, 2, 3, 4)
    assert build("bayes_pfl", layers=[2, 4]).layers == (2, 4)
    for layers in ([0, 1], [2, 5]):
        with pytest.raises(UserError, match="the image tower has blocks 1 to 4"):
            build("bayes_pfl", layers=layers)


def test_widths_must_agree(backbone):
    clip = load_clip(backbone(embed_dim=64), 72, "gelu", "bilinear", torch.device("cpu"))
    with pytest.raises(UserError, match="widths 64, 128 must agree"):
        BayesPfl(Config(), clip)
