"""clip_zero: WinCLIP's prompt lists on a frozen CLIP."""

import pytest
import torch
import torch.nn.functional as F

from zsad.learners.shared.states import ANOMALOUS_STATES, NORMAL_STATES, TEMPLATES, read_states


@pytest.fixture
def features(clip, build, pictures):
    return clip.image.encode(pictures[:3], build("clip_zero").spec)


def test_prompt_lists():
    assert (len(NORMAL_STATES), len(ANOMALOUS_STATES), len(TEMPLATES), len(set(TEMPLATES))) == (7, 4, 21, 20)
    assert all(text.count("{}") == 1 for text in (*NORMAL_STATES, *ANOMALOUS_STATES, *TEMPLATES))


@torch.no_grad()
def test_prototypes_are_means_of_unnormalised_embeddings(build, open_clip_model):
    from open_clip import tokenize

    prototypes = build("clip_zero").prototypes("metal nut")
    for got, states in zip(prototypes, (NORMAL_STATES, ANOMALOUS_STATES), strict=True):
        prompts = [template.format(state.format("metal nut")) for state in states for template in TEMPLATES]
        wanted = F.normalize(open_clip_model.encode_text(tokenize(prompts)).mean(0), dim=-1)
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6)


@torch.no_grad()
def test_score_is_half_image_half_largest_patch(build, features):
    """At the backbone's own temperature (here 1/20), each image with the prototypes of its own class."""
    learner, names = build("clip_zero"), ["bottle", "brain", "bottle"]
    scored = learner.score(features, names)
    for i, name in enumerate(names):
        text = learner.prototypes(name)
        image = (20 * F.normalize(features.cls_post[i], dim=-1) @ text.T).softmax(-1)[1]
        patches = (20 * F.normalize(features.patches[i], dim=-1) @ text.T).softmax(-1)[:, 1]
        assert scored.score[i].item() == pytest.approx((image + patches.max()).item() / 2, abs=1e-6)
        torch.testing.assert_close(scored.map_logits[i].sigmoid().flatten().float(), patches, rtol=0, atol=1e-6)


def test_class_name_matters_and_is_encoded_once(build, features, monkeypatch):
    learner = build("clip_zero")
    first = learner.score(features, ["bottle"] * 3)
    assert (learner.score(features, ["brain"] * 3).score - first.score).abs().max() > 1e-4
    monkeypatch.setattr(type(learner.clip.text), "encode_strings", lambda *_: pytest.fail("encoded again"))
    assert torch.equal(learner.score(features, ["bottle"] * 3).score, first.score)


@torch.no_grad()
def test_own_words_are_means_over_own_states_and_templates(clip, build):
    own = {"normal": ["clean {}"], "anomalous": ["{} with a hole", "burnt {}"], "templates": ["{}", "my {}"]}
    normal, anomalous = build("clip_zero", states=own).prototypes("nut")
    said = {"normal": ["clean nut", "my clean nut"]}
    said["anomalous"] = ["nut with a hole", "my nut with a hole", "burnt nut", "my burnt nut"]
    for got, prompts in ((normal, said["normal"]), (anomalous, said["anomalous"])):
        torch.testing.assert_close(got, F.normalize(clip.text.encode_strings(prompts).mean(0), dim=-1), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["clip_zero", "winclip", "winclip_plus"])
def test_winclips_lists_written_out_are_the_same_bits(build, method):
    lists = {"normal": list(NORMAL_STATES), "anomalous": list(ANOMALOUS_STATES), "templates": list(TEMPLATES)}
    assert torch.equal(build(method).prototypes("nut"), build(method, states=lists).prototypes("nut"))
    assert not torch.equal(
        build(method).prototypes("nut"), build(method, states={"normal": ["new {}"]}).prototypes("nut")
    )


def test_words_said_later_replace_what_was_encoded(build):
    learner = build("clip_zero")
    before = learner.prototypes("nut")
    learner.say(read_states({"anomalous": ["rusty {}"]}))
    assert torch.equal(learner.prototypes("nut")[0], before[0])
    assert not torch.equal(learner.prototypes("nut")[1], before[1])


def test_nothing_is_learned(build, vit_l_shapes):
    from zsad.learners.clip_zero import ClipZero, Config

    assert build("clip_zero").checkpoint() == {}
    assert not list(build("clip_zero").parameters())
    assert ClipZero(Config(), vit_l_shapes).spec.vv_start == 5
