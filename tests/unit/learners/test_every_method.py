"""What every learner promises, whatever its method."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from zsad.common.errors import UserError
from zsad.inference.maps import encode_logits
from zsad.learners.base import scaled
from zsad.learners.lookup import build_config, learner_class, methods
from zsad.training import checkpoint
from zsad.training.checkpoint import Header

METHODS = methods()
TRAINED = [method for method in METHODS if learner_class(method).trained and not learner_class(method).few_shot]
NAMES = ["bottle", "metal nut", "bottle", "brain"] * 3


@pytest.fixture
def header(clip):
    """header(method, **changes): what a checkpoint of the small CLIP says of itself."""

    def make(method, **changes):
        backbone = {"name": "tiny", "pretrained": "openai", "image_size": 72, "sha256": clip.sha256}
        plain = Header(method, method, "strict", "source", 0, {}, {**backbone, "activation": "quickgelu"}, "c", "d")
        return replace(plain, **changes)

    return make


@pytest.mark.parametrize("method", METHODS)
def test_scores_and_maps_are_in_range(clip, build, pictures, method):
    learner = build(method)
    images = torch.cat([pictures[:3], torch.zeros(1, 3, 72, 72), 1e3 * pictures[:1]])
    scored = learner.score(clip.image.encode(images, learner.spec), NAMES[:5], "target")
    assert scored.score.dtype == torch.float64
    assert scored.score.shape == (5,)
    assert ((scored.score >= 0) & (scored.score <= 1)).all()
    assert scored.map_logits.shape[0] == 5
    assert scored.map_logits.isfinite().all()
    assert not scored.map_logits.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_order_batch_size_and_company_change_nothing(clip, build, pictures, method):
    """Design rule for `strict`: scores agree to 1e-6, maps to one stored step."""
    learner = build(method)

    def run(order, batch):
        scores, codes = np.zeros(12), np.zeros((12, *first.map_logits.shape[1:]), np.int64)
        for i in range(0, len(order), batch):
            pick = order[i : i + batch]
            scored = learner.score(clip.image.encode(pictures[pick], learner.spec), [NAMES[j] for j in pick], "visa")
            scores[pick], codes[pick] = scored.score.numpy(), encode_logits(scored.map_logits.numpy())
        return scores, codes

    first = learner.score(clip.image.encode(pictures[:1], learner.spec), NAMES[:1])
    scores, codes = run(list(range(12)), 12)
    for order, batch in ((list(range(12)), 5), ([7, 2, 11, 0, 5, 3, 9, 1, 10, 4, 8, 6], 4), (list(range(0, 12, 2)), 1)):
        other_scores, other_codes = run(order, batch)
        assert abs(other_scores - scores)[order].max() < 1e-6
        assert abs(other_codes - codes)[order].max() <= 1


@pytest.mark.parametrize("method", ["adapt_clip", "anomalyclip", "cops", "faprompt", "promptad", "apt", "patch_memory"])
def test_methods_that_read_no_class_name_score_alike_under_any(clip, build, pictures, method):
    learner = build(method)
    features = clip.image.encode(pictures[:3], learner.spec)
    own, other = learner.score(features, NAMES[:3]), learner.score(features, ["object"] * 3)
    assert torch.equal(own.score, other.score)
    assert torch.equal(own.map_logits, other.map_logits)


@pytest.mark.parametrize("method", ["bayes_pfl", "clip_zero", "winclip", "winclip_plus"])
def test_methods_that_read_the_class_name_score_by_it(clip, build, pictures, method):
    learner = build(method)
    features = clip.image.encode(pictures[:3], learner.spec)
    own, other = learner.score(features, NAMES[:3]), learner.score(features, ["object"] * 3)
    assert (own.score - other.score).abs().max() > 1e-6
    assert not torch.equal(own.map_logits, other.map_logits)


@pytest.mark.parametrize("method", TRAINED)
def test_every_parameter_learns_and_clip_does_not(clip, build, pictures, make_batch, method):
    learner = build(method)
    features = clip.image.encode(pictures, learner.training_spec)
    torch.manual_seed(0)
    for phase in learner.phases():
        terms = phase.loss(make_batch(features, range(4)))
        assert all(term.shape == () and term.isfinite() for term in terms.values())
        torch.stack(list(terms.values())).sum().backward()
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    for block in (*clip.image.blocks, *clip.text.blocks):
        assert all(p.grad is None and not p.requires_grad for p in (*block.mlp.parameters(), block.in_proj_weight))


@pytest.mark.parametrize("method", METHODS)
def test_state_holds_no_tensor_of_clip(clip, build, method):
    frozen = {t.data_ptr() for block in (*clip.image.blocks, *clip.text.blocks) for t in block.mlp.parameters()}
    frozen |= {t.data_ptr() for t in (clip.text.token_embedding, clip.text.projection, clip.image.projection)}
    state = build(method).state_dict()
    assert not frozen & {tensor.data_ptr() for tensor in state.values()}
    assert sum(tensor.numel() for tensor in state.values()) < 1_000_000


@pytest.mark.parametrize("method", METHODS)
def test_draws_are_a_function_of_the_seed(build, method):
    learner = build(method)
    drawn = []
    for seed in (3, 3, 4):
        learner.draw(torch.Generator().manual_seed(seed))
        drawn.append({name: value.clone() for name, value in learner.checkpoint().items()})
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


@pytest.mark.parametrize("method", METHODS)
def test_unknown_setting_is_refused_with_its_path(method):
    with pytest.raises(UserError, match=r"params\.yaml: unknown parameter 'learners\.mine\.sigmaa'; did you mean 'sig"):
        build_config(method, {"sigmaa": 1.0}, "learners.mine")


def test_unknown_method_is_refused():
    with pytest.raises(UserError, match=r"method 'copz' does not exist; there are: aa_clip, ada_clip, adapt_clip"):
        build_config("copz", {}, "learners.copz")


@pytest.mark.parametrize("method", METHODS)
def test_checkpoint_round_trip(clip, build, pictures, header, tmp_path, method):
    learner, path = build(method), tmp_path / "seed_0.safetensors"
    learner.draw(torch.Generator().manual_seed(1))
    assert checkpoint.save(path, learner, header(method)) == checkpoint.save(tmp_path / "b", learner, header(method))
    loaded, read = checkpoint.load(path, clip)
    assert read == header(method)
    features = clip.image.encode(pictures[:3], learner.spec)
    wanted, got = learner.score(features, NAMES[:3]), loaded.score(features, NAMES[:3])
    assert torch.equal(wanted.score, got.score)
    assert torch.equal(wanted.map_logits, got.map_logits)


def test_checkpoint_finds_its_own_backbone(backbone, build, header, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/weights").mkdir(parents=True)
    (tmp_path / "data/weights/default").symlink_to(backbone())
    checkpoint.save(tmp_path / "a.safetensors", build("anomalyclip"), header("anomalyclip"))
    learner, _ = checkpoint.load(tmp_path / "a.safetensors")
    assert learner.clip.image_size == 72
    assert not learner.training


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda tensors, one: tensors.pop(one), "missing {one}"),
        (lambda tensors, one: tensors.update(extra=torch.zeros(2)), "unknown extra"),
        (lambda tensors, one: tensors[one].view(-1)[3].fill_(float("nan")), "{one} holds NaN"),
        (lambda tensors, one: tensors.update({one: torch.zeros(1, 1, 2, 127)}), r"{one} is \[1, 1, 2, 127\], expected"),
    ],
)
def test_spoilt_checkpoints_are_refused_by_tensor(clip, build, header, tmp_path, method, spoil, complaint):
    path, metadata = tmp_path / "a.safetensors", {}
    checkpoint.save(path, build(method), header(method))
    tensors = load_file(path)
    metadata["zsad"] = read_metadata(path)
    one = min(tensors)
    spoil(tensors, one)
    save_file(tensors, path, metadata)
    with pytest.raises(UserError, match=complaint.replace("{one}", one)) as caught:
        checkpoint.load(path, clip)
    assert str(path) in str(caught.value)


def read_metadata(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.metadata()["zsad"]


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"image_size": 48}])
def test_checkpoint_of_another_backbone_is_refused(clip, build, header, tmp_path, monkeypatch, change):
    path = tmp_path / "a.safetensors"
    other = header("anomalyclip", backbone={**header("anomalyclip").backbone, **change})
    checkpoint.save(path, build("anomalyclip"), other)
    with pytest.raises(UserError, match="another backbone"):
        checkpoint.load(path, clip)
    if "sha256" in change:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match=r"needs tiny \(openai\), which is not there"):
            checkpoint.load(path)


def test_checkpoint_with_foreign_settings_is_refused(clip, build, header, tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, build("anomalyclip"), header("anomalyclip", settings={"contexts": 3}))
    with pytest.raises(UserError, match=r"a\.safetensors: settings\.contexts"):
        checkpoint.load(path, clip)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"not a checkpoint at all"),
        lambda path: path.write_bytes(b""),
        lambda path: torch.save({"ctx_pos": torch.zeros(1)}, path),
        lambda path: path.write_bytes(pickle.dumps(Trap())),
        lambda path: save_file({"ctx_pos": torch.zeros(1)}, path),
        lambda path: save_file({"ctx_pos": torch.zeros(1)}, path, {"zsad": '{"format": 1}'}),
        lambda path: save_file({"ctx_pos": torch.zeros(1)}, path, {"zsad": "[1]"}),
        lambda path: None,
    ],
    ids=["text", "empty", "torch", "pickle", "foreign", "incomplete", "list", "absent"],
)
def test_files_that_are_no_checkpoint_are_refused(clip, tmp_path, write):
    """Whatever the file is, nothing in it is run."""
    path = tmp_path / "a.safetensors"
    write(path)
    with pytest.raises(UserError) as caught:
        checkpoint.load(path, clip)
    assert str(path) in str(caught.value)


class Trap:
    """Unpickling this fails the test."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_depths_scale_with_the_backbone():
    assert [scaled(5, 24, depth) for depth in (24, 12, 8, 4)] == [5, 2, 2, 1]
    assert [scaled(8, 12, depth) for depth in (12, 6, 4, 3)] == [8, 4, 3, 2]
    assert scaled(0, 24, 12) == 0


@pytest.mark.parametrize("method", METHODS)
def test_depths_that_the_backbone_does_not_have_are_refused(build, method):
    fields = learner_class(method).Config.model_fields
    for setting in {"vv_start", "deep_sets"} & set(fields):
        with pytest.raises(UserError, match=rf"{setting} 4"):
            build(method, **{setting: 4})
