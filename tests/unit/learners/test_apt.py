"""APT (reconstruction): prompts, guidance, the meta-prompt's moves, training, inference."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import FeatureSpec, load_clip
from zsad.clip.inputs import MEAN, STD
from zsad.clip.text import EOT
from zsad.clip.weights import prepare
from zsad.common.errors import UserError
from zsad.config.schema import BackboneParams
from zsad.learners.apt import META, STATES, Apt, Config
from zsad.learners.apt.anomalies import HELD_OUT
from zsad.learners.apt.guidance import average_precision, calibrate
from zsad.learners.apt.views import enlarge, logits, meta_loss
from zsad.learners.few_shot import Support
from zsad.learners.lookup import build_config
from zsad.training.checks import check_clip_unchanged, clip_sums

SHORT = {"epochs": 2, "round_epochs": 1, "synthetic": 8, "synthetic_batch": 4, "held_out": 4, "lr": 0.05}


def encode(clip, spec, pictures):
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return clip.image.encode((pictures - mean) / std, spec)


def stripes(side, count=1):
    """Drawn pictures [count, 3, S, S] of a striped texture under changing phase, with a little noise."""
    rng, x = np.random.default_rng(0), np.arange(side)
    waves = [0.5 + 0.25 * np.sin(x / 3 + phase) + 0.02 * rng.standard_normal((3, side, side)) for phase in range(count)]
    return torch.from_numpy(np.stack(waves)).float().clamp(0, 1)


@pytest.fixture
def adapted(clip):
    """adapted(shots=1, seed=3, **settings) → (learner, what it yielded), on the small CLIP and stripes."""

    def run(shots=1, seed=3, clip=clip, **settings):
        torch.manual_seed(seed)
        learner = Apt(build_config("apt", {**SHORT, **settings}, "few_shot.apt"), clip, shots=shots)
        read = partial(encode, clip, learner.support_spec)
        support = Support(stripes(clip.image_size, shots), "metal_nut", "metal nut", read, seed)
        return learner, list(learner.adapt(support))

    return run


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("embedded") / "clip"
    prepare(BackboneParams(name="embedded", pretrained="embedded", image_size=112), directory)
    return load_clip(directory, 112, "gelu", "bilinear", torch.device("cpu"))


def test_parameters_at_vit_l(vit_l_shapes):
    """Two contexts of 16 tokens; V-V or local attention in the second half; blocks 6 and 16 are remembered."""
    learner = Apt(Config(memory=True), vit_l_shapes, shots=2)
    assert {name: tuple(value.shape) for name, value in learner.named_parameters()} == {
        "ctx_normal": (1, 16, 768),
        "ctx_abnormal": (1, 16, 768),
    }
    assert {name: tuple(value.shape) for name, value in learner.named_buffers()} == {
        **dict.fromkeys(("meta0", "meta", "text_features"), (2, 768)),
        "memory_6": (2 * 1369, 1024),
        "memory_16": (2 * 1369, 1024),
    }
    assert (learner.spec.vv_start, learner.spec.local) == (12, None)
    local = Apt(Config(local="window"), vit_l_shapes).spec.local
    assert (local.start, local.radius, local.keep_cls) == (12, 1, False)
    assert learner.map_grid == (518, 518)


@torch.no_grad()
def test_truncated_prompts_equal_padded_ones(clip, build):
    """Nothing after EOT is read: 19 tokens give the features of 77, for every class token and a bank of two."""
    text = clip.text
    for class_token, words in (("object", "object"), ("class_name", "metal nut"), ("none", "")):
        learner = build("apt", class_token=class_token, bank=2)
        ids, features = text.ids(words), []
        for prompt in (*learner.ctx_normal, *learner.ctx_abnormal):
            whole = torch.cat([text.embed(ids[:1]), prompt, text.embed(ids[1:])])
            eot = len(whole) - 1
            assert ids[-1] == EOT
            assert eot == 17 + len(ids) - 2
            features.append(text.encode(F.pad(whole, (0, 0, 0, 77 - len(whole)))[None], eot))
        wanted = F.normalize(torch.cat(features).view(2, 2, -1).mean(1), dim=-1)
        got = learner.encode_prompts(learner.class_token("metal nut"), learner.ctx_normal, learner.ctx_abnormal)
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


@torch.no_grad()
def test_meta_prompt(clip, build, open_clip_model):
    """Unit mean of unit features, by open_clip's own text encoder."""
    from open_clip import tokenize

    got = build("apt").meta_prompt()
    for one, states in zip(got, STATES, strict=True):
        features = open_clip_model.encode_text(tokenize([META.format(state) for state in states]))
        torch.testing.assert_close(one, F.normalize(F.normalize(features, dim=-1).mean(0), dim=0), rtol=0, atol=1e-5)


def test_initial_tokens(clip):
    """N(0, 0.02), or the sentence's words in the last places, so that the prompt reads on into the class token."""
    torch.manual_seed(0)
    plain = torch.cat([Apt(Config(bank=3), clip).ctx_normal, Apt(Config(bank=3), clip).ctx_abnormal])
    assert plain.std().item() == pytest.approx(0.02, rel=0.05)
    words = Apt(Config(init="meta", bank=2), clip)
    sentences = ("normal", "flawless", "abnormal", "damaged")
    for context, sentence in zip((*words.ctx_normal, *words.ctx_abnormal), sentences, strict=True):
        ids = clip.text.ids(META.format(sentence))[1:-3]
        assert torch.equal(context[-len(ids) :], clip.text.embed(ids))
        assert context[: -len(ids)].std().item() == pytest.approx(0.02, rel=0.2)
    ids = clip.text.ids(META.format("normal"))[1:-1]
    assert torch.equal(
        Apt(Config(init="meta", class_token="none"), clip).ctx_normal[0, -len(ids) :], clip.text.embed(ids)
    )
    short = Apt(Config(init="meta", context_length=2), clip).ctx_normal[0]
    assert torch.equal(short, clip.text.embed(clip.text.ids("a normal")[1:-1]))


def test_guidance_without_weight_is_no_guidance(adapted):
    """Bit by bit, under the same seed."""
    (none, steps), *others = [
        adapted(guide=guide, guide_weight=weight) for guide, weight in (("none", 1.0), ("project", 0.0), ("kl", 0.0))
    ]
    for other, other_steps in others:
        assert steps == other_steps
        assert torch.equal(none.text_features, other.text_features)
        assert torch.equal(none.ctx_abnormal, other.ctx_abnormal)
    guided, _ = adapted(guide="kl")
    assert (guided.text_features - none.text_features).abs().max() > 1e-6


def test_no_gradient_where_learned_and_meta_prompt_agree(clip, pictures, build):
    """L_meta and its gradient are exactly zero, and the guard leaves g_s alone."""
    learner = build("apt")
    tokens = learner.tokens(clip.image.encode(pictures[:4], learner.spec)).detach()
    text = F.normalize(learner.meta, dim=-1).requires_grad_(True)
    loss = meta_loss(logits(tokens, text, 20.0), logits(tokens, text.detach(), 20.0), 2)
    (gradient,) = torch.autograd.grad(loss, text)
    assert loss.item() == 0
    assert not gradient.any()
    g_s = torch.randn(2, 16)
    assert calibrate(g_s, torch.zeros(2, 16), 1.0) == (g_s, False)
    assert meta_loss(logits(tokens, text.flip(0), 20.0), logits(tokens, text, 20.0), 2) > 0


def test_static_meta_prompt_and_refused_moves(adapted):
    static, _ = adapted(meta="static")
    assert torch.equal(static.meta, static.meta0)
    still, _ = adapted(meta_step=0.0)
    assert torch.equal(still.meta, still.meta0)
    moving, _ = adapted(meta_drop=1.0)
    assert not torch.equal(moving.meta, moving.meta0)


@pytest.mark.parametrize("settings", [{}, {"noise_space": "feature"}, {"pool_refresh": True}, {"loss_scale": 2}])
def test_only_the_contexts_are_trained(clip, adapted, settings):
    before = clip_sums(clip)
    learner, steps = adapted(shots=2, **settings)
    check_clip_unchanged(clip, before)
    torch.manual_seed(3)
    fresh = Apt(learner.config, clip, shots=2)
    moved = [name for name, value in learner.named_parameters() if not torch.equal(value, fresh.get_parameter(name))]
    assert moved == ["ctx_normal", "ctx_abnormal"]
    terms = {"syn", "seg", "cls", "meta", "conflict"}
    assert [set(step) for step in steps] == [terms, terms | {"synthetic_ap"}]
    for terms in steps:
        assert all(np.isfinite(value) and value >= 0 for value in terms.values())
        assert terms["syn"] == pytest.approx(terms["seg"] + terms["cls"], rel=1e-5)


def test_a_seed_decides_everything(adapted):
    """The support's seed and torch's own, which draws the first tokens."""
    (first, steps), (second, again), (other, _) = (adapted(seed=seed) for seed in (3, 3, 4))
    assert steps == again
    assert torch.equal(first.text_features, second.text_features)
    assert not torch.equal(first.text_features, other.text_features)


def test_stored_text_features_follow_from_the_contexts(clip, adapted, tmp_path):
    learner, _ = adapted(class_token="class_name")
    fresh = Apt(learner.config, clip)
    fresh.restore(learner.checkpoint(), tmp_path)
    with torch.no_grad():
        got = fresh.encode_prompts(fresh.class_token("metal nut"), fresh.ctx_normal, fresh.ctx_abnormal)
    torch.testing.assert_close(got, learner.text_features, rtol=0, atol=1e-6)


@torch.no_grad()
def test_exchanged_prompts_give_the_complement(clip, build, pictures):
    learner = build("apt")
    features = clip.image.encode(pictures[:3], learner.spec)
    before = learner.score(features, [""] * 3)
    learner.text_features.copy_(learner.text_features.flip(0).clone())
    after = learner.score(features, [""] * 3)
    torch.testing.assert_close(after.map_logits.sigmoid(), 1 - before.map_logits.sigmoid(), rtol=0, atol=1e-12)


@torch.no_grad()
def test_score_and_map_are_two_way_softmaxes(clip, build, pictures):
    """Softmax of the upsampled logits of both prompts; the score is half image, half largest pixel."""
    learner = build("apt")
    features = clip.image.encode(pictures[:3], learner.spec)
    scored = learner.score(features, [""] * 3)
    z = 20 * F.normalize(features.patches, dim=-1) @ learner.text_features.T
    maps = F.interpolate(z.transpose(1, 2).unflatten(2, (9, 9)), 72, mode="bilinear").softmax(1)[:, 1]
    image = (20 * F.normalize(features.cls_post, dim=-1) @ learner.text_features.T).softmax(-1)[:, 1]
    torch.testing.assert_close(scored.map_logits.sigmoid().float(), maps, rtol=0, atol=1e-5)
    torch.testing.assert_close(scored.score.float(), (image + maps.flatten(1).amax(1)) / 2, rtol=0, atol=1e-5)
    coarse = build("apt", map_scale=2).score(features, [""] * 3)
    assert torch.equal(coarse.score, scored.score)
    assert coarse.map_logits.shape == (3, 18, 18)


def test_memory(clip, adapted, pictures):
    """1 / (1/a + 1/d), d the half cosine distance to the nearest patch of the support, mean over two layers."""
    learner, _ = adapted(shots=2, memory=True)
    support = encode(clip, learner.support_spec, stripes(72, 2))
    assert learner.layers == (1, 3)
    assert learner._distance(support).max() < 1e-5
    features = clip.image.encode(pictures[:5], learner.spec)
    z = logits(learner.tokens(features), learner.text_features, 20.0)
    a, parts = enlarge(z[:, :-1], 72).sigmoid(), []
    for layer in learner.layers:
        bank = F.normalize(support.layer(layer), dim=-1).flatten(0, 1)
        parts.append((1 - F.normalize(features.layer(layer), dim=-1) @ bank.T).amin(-1) / 2)
    d = enlarge(torch.stack(parts).mean(0), 72)
    scored = learner.score(features, [""] * 5)
    torch.testing.assert_close(scored.map_logits.sigmoid().float(), 1 / (1 / a + 1 / d), rtol=0, atol=1e-5)
    alone = [learner.score(clip.image.encode(pictures[i : i + 1], learner.spec), [""]) for i in (4, 2, 0, 1, 3)]
    assert (scored.score[[4, 2, 0, 1, 3]] - torch.cat([one.score for one in alone])).abs().max() < 1e-6


@torch.no_grad()
def test_patch_features(clip, build, pictures):
    """The window stream, the last layer as it is, V-V attention from the same block on."""
    got = {}
    for local in ("window", "vanilla", "vv"):
        learner = build("apt", local=local)
        got[local] = learner.tokens(clip.image.encode(pictures[:2], learner.spec))
    last = clip.image.ln_post(clip.image.encode(pictures[:2], FeatureSpec(layers=(4,))).layer(4))
    torch.testing.assert_close(got["vanilla"][:, :-1], F.normalize(last @ clip.image.projection, dim=-1))
    assert learner.spec.vv_start == 2
    assert all((got[a] - got[b]).abs().max() > 0.01 for a, b in (("window", "vanilla"), ("window", "vv")))
    for own in got.values():  # the last block is finished where its patches are read, else for the class token alone
        torch.testing.assert_close(own[:, -1], got["vv"][:, -1], rtol=0, atol=1e-6)


def test_without_epochs_it_is_the_meta_prompt(adapted):
    learner, steps = adapted(epochs=0)
    assert steps == []
    assert torch.equal(learner.text_features, learner.meta0)
    torch.testing.assert_close(learner.meta0, learner.meta_prompt())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"local_start": 4}, "local_start 4: the image tower has blocks 0 to 3"),
     ({"memory": True, "memory_layers": (0, 2)}, r"memory_layers \[0, 2\]: the image tower has blocks 1 to 4")],
)  # fmt: skip
def test_blocks_that_the_backbone_does_not_have_are_refused(build, settings, complaint):
    with pytest.raises(UserError, match=complaint):
        build("apt", **settings)


def test_a_texture_is_object_everywhere(embedded):
    learner = Apt(Config(), embedded)
    features = encode(embedded, learner.spec, stripes(112, 2))
    assert all(mask.all() for mask in learner.objects(learner.tokens(features)))


def test_training_finds_synthetic_anomalies_and_clears_the_clean_picture(embedded):
    """On the embedded CLIP: the clean map sinks, synthetic pixel AP of unseen families rises."""
    torch.manual_seed(0)
    settings = {"epochs": 10, "synthetic": 16, "lr": 0.05, "round_epochs": 5}
    learner = Apt(build_config("apt", settings, "few_shot.apt"), embedded)
    support = Support(stripes(112), "stripes", "stripes", partial(encode, embedded, learner.spec), 0)
    clean = learner.tokens(support.encode(support.pictures))
    held_out, _ = learner._rounds(support, clean).maker.make(16, HELD_OUT, 9)

    @torch.no_grad()
    def state():
        text = learner.encode_prompts(learner.class_token(""), learner.ctx_normal, learner.ctx_abnormal)
        clean_map, maps = (logits(tokens, text, embedded.logit_scale)[:, :-1] for tokens in (clean, held_out.tokens))
        precision = average_precision(enlarge(maps, 112).flatten(), held_out.masks.flatten() > 0.5)
        return clean_map.sigmoid().mean().item(), precision

    before = state()
    terms = list(learner.adapt(support))
    after = state()
    assert after[0] < before[0]
    assert after[1] > before[1]
    assert terms[-1]["syn"] < terms[0]["syn"]


def test_coarse_masks_that_no_patch_fills_still_count(embedded):
    """Averaged over patches, a thin anomaly fills none by half; it is an anomaly all the same."""
    torch.manual_seed(0)
    settings = {"epochs": 2, "round_epochs": 1, "synthetic": 1, "held_out": 1, "loss_scale": 1}
    learner = Apt(build_config("apt", settings, "few_shot.apt"), embedded)
    read = partial(encode, embedded, learner.support_spec)
    for seed in range(6):
        *_, last = learner.adapt(Support(stripes(112), "stripes", "stripes", read, seed))
        assert 0 < last["synthetic_ap"] <= 1
