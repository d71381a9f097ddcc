"""CoPS: prompt synthesis, losses, inference, and where `paper` and `strict` part."""

import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import ImageFeatures, load_clip
from zsad.clip.text import DeepTokens
from zsad.common.errors import UserError
from zsad.learners.base import Batch
from zsad.learners.cops import Config, Cops, cosine_distance, masked_mean, min_max
from zsad.learners.shared.losses import segmentation_loss


@pytest.fixture
def features(clip, build, pictures):
    return clip.image.encode(pictures, build("cops").spec)


@pytest.fixture
def synthesis():
    """Prototypes [2, 6, D] of both polarities and 3 class-token vectors per image."""
    torch.manual_seed(0)
    return torch.randn(2, 6, 128), torch.randn(2, 6, 128), torch.randn(2, 3, 128)


def test_parameters_at_vit_l(vit_l_shapes):
    """6,554,880 trained scalars; of them 4,783,104 in 28 tensors are stored, beside the prior samples z."""
    learner = Cops(Config(), vit_l_shapes)
    stored = learner.checkpoint()
    assert stored.pop("z").shape == (10, 768)
    assert sum(parameter.numel() for parameter in learner.parameters()) == 6_554_880
    assert (len(stored), sum(value.numel() for value in stored.values())) == (28, 4_783_104)
    assert stored["extractor.attn.in_proj_weight"].shape == (2304, 768)
    assert stored["ctx_pos"].shape == (1, 1, 14, 768)
    assert learner.extractor.attn.num_heads == 12
    assert len(learner.compound_prompts_text) == 8
    assert learner.spec.vv_start == 0


def test_fresh_parameters(clip):
    """Linear layers N(0, 0.02) with bias 0; the attention's input projection keeps Xavier's uniform range."""
    torch.manual_seed(0)
    learner = Cops(Config(), clip)
    for name, value in learner.named_parameters():
        if name.endswith("bias"):
            assert not value.any(), name
        elif name.endswith(("ln_1.weight", "ln_2.weight")):
            assert (value == 1).all(), name
        elif name.endswith("in_proj_weight"):
            assert value.abs().max() <= (6 / (128 + 384)) ** 0.5
            assert value.std() > 0.05
        else:
            assert value.std().item() == pytest.approx(0.02, rel=0.1), name


def test_pooling_counts_zero_padding(clip, build):
    """A constant map keeps 4/9 of itself in a corner and 6/9 on an edge with kernel 3."""
    constant = ImageFeatures({"patches": torch.ones(1, 81, 128)})
    pooled = build("cops").pooled(constant, 3)[0, :, 0].view(9, 9)
    assert pooled[0, 0].item() == pytest.approx(4 / 9)
    assert pooled[0, 4].item() == pytest.approx(6 / 9)
    assert pooled[4, 4].item() == pytest.approx(1)
    assert build("cops").pooled(constant, 5)[0, 0, 0].item() == pytest.approx(9 / 25)


@torch.no_grad()
def test_extractor_is_attention_then_mlp(build):
    """Written out from its stored tensors: shared ln_1 for queries and patches, two heads, QuickGELU."""
    torch.manual_seed(0)
    learner, patches = build("cops"), torch.randn(2, 81, 128)
    w = {name.removeprefix("extractor."): value for name, value in learner.state_dict().items()}
    image = F.layer_norm(patches, (128,), w["ln_1.weight"], w["ln_1.bias"])
    queries = F.layer_norm(learner.t_n, (128,), w["ln_1.weight"], w["ln_1.bias"])
    q, k, v = (
        F.linear(x, w["attn.in_proj_weight"][i * 128 : i * 128 + 128], w["attn.in_proj_bias"][i * 128 : i * 128 + 128])
        for i, x in enumerate((queries.expand(2, -1, -1), image, image))
    )
    heads = [(q[..., h] @ k[..., h].mT / 8).softmax(-1) @ v[..., h] for h in (slice(0, 64), slice(64, 128))]
    x = learner.t_n + F.linear(torch.cat(heads, dim=-1), w["attn.out_proj.weight"], w["attn.out_proj.bias"])
    hidden = F.linear(
        F.layer_norm(x, (128,), w["ln_2.weight"], w["ln_2.bias"]), w["mlp.c_fc.weight"], w["mlp.c_fc.bias"]
    )
    wanted = x + F.linear(hidden * torch.sigmoid(1.702 * hidden), w["mlp.c_proj.weight"], w["mlp.c_proj.bias"])
    torch.testing.assert_close(learner.extractor(learner.t_n, patches), wanted, rtol=0, atol=1e-5)


@torch.no_grad()
def test_prompt_layout_and_averaging(clip, build, synthesis):
    """17 tokens: SOT, 6 context, 6 state + prototypes of the *other* polarity, 2 class + bias, `.`, EOT.

    Each sample's feature is normalised, then averaged over samples, then normalised again.
    """
    learner, (normal, anomalous, bias) = build("cops"), synthesis
    got = learner.text_features(normal, anomalous, bias)
    sot, end = clip.text.embed([49406]), clip.text.embed([269, 49407])
    deep = DeepTokens(list(learner.compound_prompts_text))
    for polarity, (context, added) in enumerate(((learner.ctx_pos, anomalous), (learner.ctx_neg, normal))):
        ctx = context[0, 0]
        for b in range(2):
            rows = [torch.cat([sot, ctx[:6], ctx[6:12] + added[b], ctx[12:] + bias[b, r], end]) for r in range(3)]
            assert len(rows[0]) == 17
            each = F.normalize(clip.text.encode(torch.stack(rows), deep=deep), dim=-1)
            wanted = F.normalize(each.mean(0), dim=-1)
            torch.testing.assert_close(got[polarity][b], wanted, rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(("pairing", "changed"), [("swapped", [True, False]), ("straight", [False, True])])
def test_anomalous_prototypes_enter_one_prompt_only(build, synthesis, pairing, changed):
    learner, (normal, anomalous, bias) = build("cops", prototype_pairing=pairing), synthesis
    with_them = learner.text_features(normal, anomalous, bias)
    without = learner.text_features(normal, torch.zeros_like(anomalous), bias)
    gaps = [(a - b).abs().max().item() for a, b in zip(with_them, without, strict=True)]
    assert [gap > 1e-4 for gap in gaps] == changed
    assert min(gaps) == 0


def test_stop_gradient_and_who_learns_from_what(build, features, make_batch):
    """Queries and extractor learn from L_NC and L_AC alone; encoder and decoder from the text-based losses too."""
    learner = build("cops")
    torch.manual_seed(0)
    terms = learner.loss(make_batch(features, range(4)))
    parameters = dict(learner.named_parameters())

    def touched(*names):
        total = sum(terms[name] for name in names)
        gradients = torch.autograd.grad(total, list(parameters.values()), retain_graph=True, allow_unused=True)
        found = {n for n, g in zip(parameters, gradients, strict=True) if g is not None and g.abs().max() > 0}
        return {name.split(".")[0] for name in found}

    text = {"ctx_pos", "ctx_neg", "vae_encoder", "vae_decoder", "compound_prompts_text"}
    assert touched("cls") == touched("seg") == text
    assert touched("nc") == {"t_n", "extractor"}
    assert touched("ac") == {"t_a", "extractor"}
    assert touched("kl") == {"vae_encoder"}


def test_bilinear_upsampling_is_a_setting(build, features, make_batch):
    """It reaches the segmentation loss, in its pixel form, and the full map; nothing else of the loss."""
    batch, terms = make_batch(features, range(4)), {}
    learners = {mode: build("cops", upsample=mode) for mode in ("nearest", "bilinear")}
    for mode, learner in learners.items():
        assert learner.upsample == mode
        torch.manual_seed(0)
        terms[mode] = learner.loss(batch)
    assert {n for n in terms["nearest"] if terms["nearest"][n] != terms["bilinear"][n]} == {"seg"}
    learner, p = learners["bilinear"], torch.linspace(0.01, 0.99, 81).expand(4, -1)
    full = F.interpolate(p.view(4, 1, 9, 9), size=(72, 72), mode="bilinear", align_corners=False)[:, 0]
    pixels = F.avg_pool2d(batch.masks[:, None], 8).flatten(1) * 64
    got = learner._segmentation(p, pixels, batch.masks).item()
    assert got == pytest.approx(segmentation_loss(full, batch.masks).item(), rel=1e-6)
    assert build("cops").upsample == "nearest"


def test_distance_losses_by_mask(build, features, make_batch):
    learner = build("cops")
    normal = learner.loss(make_batch(features, [0, 2]))
    assert normal["ac"].item() == 0
    batch = make_batch(features, [1, 3])
    patches = learner.pooled(features, 5)[[1, 3]]
    d_n = cosine_distance(patches, learner.extractor(learner.t_n, patches))
    d_a = cosine_distance(patches, learner.extractor(learner.t_a, patches))
    touched = F.max_pool2d(batch.masks[:, None], 8).flatten(1) > 0  # one anomalous pixel makes a patch anomalous
    terms = learner.loss(batch)
    assert terms["nc"].item() == pytest.approx(d_n[~touched].mean().item(), rel=1e-5)
    assert terms["ac"].item() == pytest.approx(d_a[touched].mean().item(), rel=1e-5)
    assert masked_mean(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)).item() == 0


def test_cosine_distance_is_to_the_nearest_prototype():
    patches = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]])
    prototypes = torch.tensor([[[5.0, 0.0], [1.0, 1.0]]])
    wanted = torch.tensor([[0.0, 1 - 0.5**0.5, 1 + 0.5**0.5]])
    torch.testing.assert_close(cosine_distance(patches, prototypes), wanted)


@pytest.mark.parametrize(("form", "wanted"), [("off", 0), ("pairwise_mean", 24 / 8), ("paired_sum", 10 / 2)])
def test_reconstruction_forms(build, form, wanted):
    """Two images in two dimensions. The official broadcast compares every image with every reconstruction."""
    g, decoded = torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.tensor([[0.0, 0.0], [-1.0, 1.0]])
    squared = torch.cdist(g, decoded) ** 2
    assert squared.flatten().tolist() == pytest.approx([5, 5, 9, 5], rel=1e-5)
    assert build("cops", rec_loss=form)._reconstruction(g, decoded).item() == pytest.approx(wanted)


def test_kl_by_hand(build, features, make_batch):
    """μ and log σ² are made constant: the KL term is their sum over dimensions, averaged over images."""
    learner = build("cops")
    with torch.no_grad():
        for layer, value in ((learner.vae_encoder.mean, 0.5), (learner.vae_encoder.log_var, 0.2)):
            layer.weight.zero_()
            layer.bias.fill_(value)
    got = learner.loss(make_batch(features, range(4)))["kl"].item()
    assert got == pytest.approx(128 * -0.5 * (1 + 0.2 - 0.25 - 1.2214027581601699), rel=1e-5)


def test_min_max_is_per_image():
    x = torch.tensor([[1.0, 3.0, 2.0], [10.0, 10.0, 10.0], [0.0, 0.0, 1e-9]], dtype=torch.float64)
    wanted = torch.tensor([[0.0, 1.0, 0.5], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    assert torch.equal(min_max(x), wanted)


@torch.no_grad()
def test_score_formula(build, features):
    """u = p·(α·d̃_n + (1−α)(1−d̃_a)); score = β·image + (1−β)·max u; stored map is u."""
    learner = build("cops", alpha=0.3, beta=0.8, pool=3)
    patches = learner.pooled(features, 3)
    q_n, q_a = learner.extractor(learner.t_n, patches), learner.extractor(learner.t_a, patches)
    text = learner.text_features(q_n, q_a, learner.vae_decoder(learner.z).expand(12, -1, -1))
    t = torch.stack(text, dim=1)
    image = (torch.einsum("bd,bcd->bc", F.normalize(features.cls, dim=-1), t) / 0.07).softmax(-1)[:, 1]
    p = (torch.einsum("bnd,bcd->bnc", F.normalize(patches, dim=-1), t) / 0.07).softmax(-1)[..., 1]
    d_n, d_a = (cosine_distance(patches, q) for q in (q_n, q_a))
    d_n, d_a = ((d - d.amin(1, True)) / (d.amax(1, True) - d.amin(1, True)) for d in (d_n, d_a))
    u = p * (0.3 * d_n + 0.7 * (1 - d_a))
    scored = learner.score(features, [""] * 12)
    torch.testing.assert_close(scored.map_logits.sigmoid().flatten(1).float(), u, rtol=0, atol=1e-5)
    torch.testing.assert_close(scored.score.float(), 0.8 * image + 0.2 * u.amax(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("target", ["visa", "my_visa", "mvtec", ""])
def test_constants_follow_the_target_in_paper_only(build, target):
    paper = (3, 0.35, 1.0) if "visa" in target else (5, 0.26, 0.9)
    settings = {"pool": 7, "alpha": 0.1, "beta": 0.2}
    assert build("cops", protocol="paper", **settings).constants(target) == paper
    assert build("cops", **settings).constants(target) == (7, 0.1, 0.2)


def test_prior_samples_are_stored_in_strict_and_drawn_anew_in_paper(build, features):
    strict, paper = build("cops"), build("cops", protocol="paper")
    first, again = (strict.score(features, [""] * 12, target).score for target in ("visa", "mvtec"))
    assert torch.equal(first, again)
    first, again = (paper.score(features, [""] * 12, "mvtec").score for _ in range(2))
    assert not torch.equal(first, again)
    samples = paper._samples(2)
    assert samples.shape == (2, 10, 128)
    assert not torch.equal(samples[0], samples[1])
    before = strict.z.clone()
    strict.draw(torch.Generator().manual_seed(9))
    assert not torch.equal(strict.z, before)


def test_official_constants_are_the_defaults(build):
    """VisA as source: K, alpha, beta, and no reconstruction loss; the swap and blocky maps of the official code."""
    config = build("cops").config
    assert (config.pool, config.alpha, config.beta, config.rec_loss) == (5, 0.26, 0.9, "off")
    assert (config.epochs, config.train_batch_size, config.lr, config.betas) == (10, 8, 0.001, (0.5, 0.999))
    assert (config.samples, config.temperature, config.local_weight, config.sigma) == (10, 0.07, 4.0, 4.0)
    assert (config.prototype_pairing, config.upsample, config.deep_fp16) == ("swapped", "nearest", True)


def test_one_picture_and_masks_without_a_normal_patch_train(build, features, make_batch):
    """The official code squeezes a last batch of one picture away, and averages nothing when no patch is normal."""
    learner, one = build("cops"), make_batch(features, [1])
    full = Batch(one.features, torch.ones_like(one.masks), one.labels, one.names)
    for batch in (one, full):
        assert all(term.isfinite() for term in learner.loss(batch).values())
    assert learner.loss(full)["nc"].item() == 0


def test_even_pooling_kernel_is_refused(build):
    with pytest.raises(UserError, match="learners.x.pool"):
        build("cops", pool=4)


def test_widths_must_agree(backbone):
    clip = load_clip(backbone(embed_dim=64), 72, "quickgelu", "bilinear", torch.device("cpu"))
    with pytest.raises(UserError, match="widths 64, 128 must agree"):
        Cops(Config(), clip)
