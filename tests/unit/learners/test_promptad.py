"""PromptAD: prompts, losses, adaptation, memory and harmonic means."""

import pytest
import torch
import torch.nn.functional as F

from zsad.common.errors import UserError
from zsad.learners.few_shot import Support
from zsad.learners.promptad import Config, PromptAD, harmonic_logit
from zsad.learners.promptad.losses import contrast, triplet, triplet_over_patches
from zsad.learners.promptad.phrases import GENERIC, NOT_WITH, WITH, abnormal_states

SHOTS = 3
CAPSULE = ["crack", "faulty imprint", "poke", "scratch"]


@pytest.fixture
def make(clip):
    """make(protocol="strict", **settings) → a fresh learner for three shots."""

    def made(protocol="strict", **settings):
        torch.manual_seed(0)
        return PromptAD(Config(**{"epochs": 3, **settings}), clip, protocol, SHOTS)

    return made


@pytest.fixture
def adapt(clip, pictures):
    """adapt(learner, name) → the terms of each epoch; learns from the first three pictures."""

    def adapted(learner, name="bottle"):
        encoded = clip.image.encode(pictures[:SHOTS], learner.support_spec)
        return list(learner.adapt(Support(torch.zeros(SHOTS, 3, 72, 72), "", name, lambda _: encoded, 0)))

    return adapted


def unit(*shape):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))), dim=-1)


def test_what_is_stored_and_what_is_learned(make):
    """Galleries of the blocks at 3/12 and 8/12 of the depth, prototypes of two sets; contexts are not stored."""
    learner = make()
    assert {name: tuple(value.shape) for name, value in learner.checkpoint().items()} == {
        "gallery_1": (SHOTS * 81, 128),
        "gallery_3": (SHOTS * 81, 128),
        "text_image": (2, 128),
        "text_map": (2, 128),
    }
    assert {name: tuple(value.shape) for name, value in learner.named_parameters()} == {
        "contexts.image.normal": (3, 4, 128),
        "contexts.image.abnormal": (4, 1, 128),
        "contexts.map.normal": (1, 4, 128),
        "contexts.map.abnormal": (4, 1, 128),
    }
    values = torch.cat([parameter.flatten() for parameter in learner.parameters()])
    assert values.std().item() == pytest.approx(0.02, rel=0.05)


def test_at_vit_l(vit_l_shapes):
    learner = PromptAD(Config(), vit_l_shapes, "strict", 4)
    assert learner.layers == (6, 16)
    assert learner.spec.halfway == (7, 17)
    assert learner.gallery_16.shape == (4 * 1369, 1024)
    assert learner.sigma == pytest.approx(4 / 400)


def test_phrases():
    assert abnormal_states("kidney") == list(GENERIC)
    wanted = [*GENERIC, *(f"{{}} with {defect}" for defect in CAPSULE), "{} squeezed with compression"]
    assert abnormal_states("capsule") == wanted
    assert NOT_WITH.keys() <= WITH.keys()
    assert len(WITH) == 24
    assert all(state.count("{}") == 1 for name in WITH for state in abnormal_states(name))


@torch.no_grad()
def test_prompts_by_hand(clip, make):
    """Every phrase behind every context, every suffix behind every context: two contexts and four suffixes cross."""
    text, learner = clip.text, make(contexts_map=2, suffix_length=2)
    contexts = learner.contexts["map"]
    got = learner.text_features(learner.prompts("capsule"))[1]

    def feature(context, suffix, words):
        ids = text.ids(words)[1:]
        return text.encode(torch.cat([text.embed([49406]), context, suffix, text.embed(ids)])[None])[0]

    none = torch.zeros(0, 128)
    normal = [feature(context, none, "capsule.") for context in contexts.normal]
    states = [f"{state.format('capsule')}." for state in abnormal_states("capsule")]
    manual = [feature(context, none, state) for context in contexts.normal for state in states]
    learned = [feature(context, suffix, "capsule.") for context in contexts.normal for suffix in contexts.abnormal]
    for part, wanted in ((got.normal, normal), (got.manual, manual), (got.learned, learned)):
        torch.testing.assert_close(part, torch.stack(wanted), rtol=0, atol=1e-5)
    means = torch.stack([torch.stack(normal).mean(0), torch.stack(manual + learned).mean(0)])
    torch.testing.assert_close(got.prototypes(), F.normalize(means, dim=-1), rtol=0, atol=1e-5)


def test_losses_are_their_definitions():
    v, n, a, others = unit(2, 5, 16), unit(16), unit(1, 16)[0], unit(7, 16)
    logits = 4.6 * torch.cat([(v @ n)[..., None], v @ others.T], dim=-1)
    wanted = F.cross_entropy(logits.flatten(0, 1), torch.zeros(10, dtype=torch.long))
    assert contrast(v, n, others, 4.6).item() == pytest.approx(wanted.item(), rel=1e-6)
    difference = (v - n) ** 2 - (v - a) ** 2
    assert triplet(v, n, a).item() == pytest.approx(difference.sum(-1).relu().mean().item(), rel=1e-5)
    assert triplet_over_patches(v, n, a).item() == pytest.approx(difference.sum(1).relu().mean().item(), rel=1e-5)


def test_terms_and_the_official_margin_over_patches(clip, make, pictures):
    features = clip.image.encode(pictures[:2], make().support_spec)
    v = F.normalize(features.cls_post, dim=-1), F.normalize(features.patches, dim=-1)
    terms = {}
    for protocol in ("strict", "paper"):
        learner = make(protocol)
        text = learner.text_features(learner.prompts("bottle"))
        terms[protocol] = learner.losses(*v, text)
        normal, abnormal = text[1].prototypes()
        margin = triplet if protocol == "strict" else triplet_over_patches
        assert terms[protocol]["map_triplet"].item() == pytest.approx(margin(v[1], normal, abnormal).item())
        manual, learned = (F.normalize(part, dim=-1).mean(0) for part in (text[0].manual, text[0].learned))
        wanted = 0.001 * (manual - learned).norm() ** 2
        assert terms[protocol]["image_alignment"].item() == pytest.approx(wanted.item(), rel=1e-4)
    assert list(terms["strict"]) == [f"{t}_{x}" for t in ("image", "map") for x in ("contrast", "triplet", "alignment")]
    assert {n for n in terms["strict"] if terms["strict"][n] != terms["paper"][n]} == {"map_triplet"}


def test_paper_scores_pictures_with_exchanged_channels_and_learns_from_plain_ones(make):
    assert [make(p).spec.bgr for p in ("strict", "paper")] == [False, True]
    assert not any(make(p).support_spec.bgr for p in ("strict", "paper"))


def test_learning_rates_and_losses(make, adapt, monkeypatch):
    rates, step = [], torch.optim.SGD.step

    def recording(optimizer):
        group = optimizer.param_groups[0]
        rates.append(group["lr"])
        assert (group["momentum"], group["weight_decay"]) == (0.9, 0.0005)
        step(optimizer)

    monkeypatch.setattr(torch.optim.SGD, "step", recording)
    terms = adapt(make(epochs=4, lr=0.1))
    assert rates == pytest.approx([0.1, 0.0853568, 0.050005, 0.0146532], rel=1e-4)  # cosine from 0.1 to 1e-5
    assert sum(terms[-1].values()) < sum(terms[0].values())


def test_every_context_learns_and_the_same_seed_gives_the_same(make, adapt):
    learners = [make(), make()]
    before = {name: value.detach().clone() for name, value in learners[0].named_parameters()}
    assert adapt(learners[0]) == adapt(learners[1])
    for name, value in learners[0].named_parameters():
        assert (value != before[name]).any(dim=-1).all(), name
    for name, value in learners[0].checkpoint().items():
        assert torch.equal(value, learners[1].checkpoint()[name]), name


def test_no_epoch_leaves_the_first_prompts(make, adapt):
    learner = make(epochs=0)
    assert adapt(learner) == []
    text = learner.text_features(learner.prompts("bottle"))
    torch.testing.assert_close(learner.text_map, text[1].prototypes().detach())


@torch.no_grad()
@pytest.mark.parametrize(("logit_scale", "factor"), [("log", torch.tensor(20.0).log().item()), ("exp", 20.0)])
def test_score_and_map_are_harmonic(clip, make, adapt, pictures, logit_scale, factor):
    learner = make(logit_scale=logit_scale)
    with torch.enable_grad():
        adapt(learner)
    features = clip.image.encode(pictures[3:7], learner.spec)
    scored = learner.score(features, [""] * 4)
    assert not scored.map_logits.requires_grad
    visual = torch.zeros(4, 81)
    for layer in (1, 3):
        gallery = learner.get_buffer(f"gallery_{layer}")
        visual += (1 - F.normalize(features.halfway(layer + 1), dim=-1) @ gallery.T).amin(-1) / 4
    image = (factor * F.normalize(features.cls_post, dim=-1) @ learner.text_image.T).softmax(-1)[:, 1]
    patches = (factor * F.normalize(features.patches, dim=-1) @ learner.text_map.T).softmax(-1)[..., 1]
    torch.testing.assert_close(scored.score.float(), 1 / (1 / visual.amax(1) + 1 / image), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        scored.map_logits.sigmoid().flatten(1).float(), 1 / (1 / patches + 1 / visual), rtol=0, atol=1e-6
    )


def test_harmonic_logit_holds_at_the_ends():
    t, v = torch.tensor([0.0, 0.0, 800.0, -800.0]), torch.tensor([1.0, 0.0, 1.0, 0.5])
    logits = harmonic_logit(t.double(), v.double())
    assert logits.isfinite().all()
    assert logits.sigmoid().tolist() == pytest.approx([1 / 3, 0, 0.5, 0], abs=1e-11)


def test_the_support_itself_holds_nothing_new(clip, make, adapt, pictures):
    learner = make()
    adapt(learner)
    scored = learner.score(clip.image.encode(pictures[:5], learner.spec), [""] * 5)
    assert (scored.score[:3] < 1e-5).all()
    assert (scored.score[3:] > 1e-3).all()


def test_output_tokens_are_the_other_memory(clip, make, adapt, pictures):
    learner = make(memory_tokens="output", memory_layers=(2,))
    assert (learner.spec.layers, learner.spec.halfway) == ((2,), ())
    adapt(learner)
    wanted = F.normalize(clip.image.encode(pictures[:3], learner.spec).layer(2), dim=-1).flatten(0, 1)
    torch.testing.assert_close(learner.gallery_2, wanted)


@pytest.mark.parametrize("layers", [(0, 2), (1, 4)])
def test_memory_layers_that_the_backbone_does_not_have_are_refused(make, layers):
    with pytest.raises(UserError, match=r"memory_layers .*: the image tower takes 1 to 3"):
        make(memory_layers=layers)


def test_a_restored_learner_scores_the_same(clip, make, adapt, pictures, tmp_path):
    learner, fresh = make(), make()
    adapt(learner)
    fresh.restore(learner.checkpoint(), tmp_path / "x.safetensors")
    features = clip.image.encode(pictures[3:5], learner.spec)
    first, second = learner.score(features, ["bottle"] * 2), fresh.score(features, ["brain"] * 2)
    assert torch.equal(first.score, second.score)
    assert torch.equal(first.map_logits, second.map_logits)


def test_a_category_may_have_defects_that_its_prompt_name_does_not_tell(build) -> None:
    learner = build("promptad")
    ends = {key: len(learner.prompts("printed circuit board", key).ends) for key in ("", "pcb1", "pcb4")}
    assert ends["pcb1"] == ends[""]
    assert ends["pcb4"] - ends[""] == len(WITH["pcb4"]) - len(WITH["printed circuit board"])
