"""Official files that `zsad import` refuses: every message names the file or the option, and nothing is run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.import_cases import METHODS, SETS, TINY, Save, place, refusal, save, towers, write_params
from zsad.cli import main as cli
from zsad.config.params import load_params
from zsad.training import checkpoint
from zsad.training.official.convert import import_official, importable

__all__ = ["place", "save"]  # the fixtures, by which pytest finds them


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda state, one: state.pop(one), "missing {one}"),
        (lambda state, one: state.update({f"{one}_": torch.zeros(2)}), "unknown {one}_"),
        (lambda state, one: state[one].view(-1)[0].fill_(float("nan")), "{one} holds NaN or infinity"),
        (lambda state, one: state.update({one: torch.zeros(2, 3)}), "{one} is [2, 3], expected [1"),
        (lambda state, one: state.update({one: state[one].int()}), "{one} is torch.int32, expected real numbers"),
        (lambda state, one: state.update({one: "text"}), "holds what is no plain tensor: {one}"),
        (lambda state, one: state.update({one: state[one].to_sparse()}), "holds what is no plain tensor: {one}"),
    ],
)
def test_a_tensor_that_is_not_as_it_should_be(
    save: Save, method: str, spoil: Callable[[dict[str, Any], str], Any], complaint: str
) -> None:
    others = {"april_gan": "fc.1.bias", "bayes_pfl": "PFL_normal.amor_u", "ada_clip": "cls_token_layer.head.0.bias"}
    others["adapt_clip"] = "textual_learner.ctx_pos"
    one = others.get(method, "ctx_pos")
    message = refusal(method, save(method, lambda state: spoil(state, one)))
    assert message.startswith("official.pth: ")
    assert complaint.replace("{one}", one) in message


@pytest.mark.parametrize("content", [{"optimizer": torch.zeros(2)}, {"clip_model": {}}, torch.zeros(2)])
def test_a_flat_file_of_another_method_is_refused(place: Path, content: Any) -> None:
    torch.save(content, "official.pth")
    found = ", ".join(content) if isinstance(content, dict) else "Tensor"
    message = refusal("ada_clip", "official.pth")
    assert f"expected tensors whose names begin with 'clip_model.', found: {found}" in message


def test_many_misfits_are_counted_not_poured_out(save: Save) -> None:
    message = refusal("cops", save("cops", lambda state: state.clear()))
    assert "missing compound_prompts_text.0, compound_prompts_text.1, " in message
    assert f" and {20 + SETS - 12} more (lengths follow --set" in message


def test_the_file_of_another_method(save: Save) -> None:
    assert "unknown extractor.attn.in_proj_bias, " in refusal("anomalyclip", save("cops"))


@pytest.mark.parametrize("method", [method for method in METHODS if method in ("anomalyclip", "faprompt")])
def test_weights_trained_on_another_clip_are_found_by_their_embeddings(save: Save, method: str) -> None:
    file = save(method)
    message = refusal(method, file, backbone="other")
    assert "token_prefix_pos is not backbones.other's token embedding (largest difference" in message
    assert "--backbone KEY" in message
    almost = save(method, lambda state: state["token_suffix_neg"].view(-1)[5].add_(1e-4))
    assert "token_suffix_neg is not backbones.default's token embedding" in refusal(method, almost)


def test_other_prompts_are_refused(save: Save) -> None:
    file = save("anomalyclip", lambda state: state["tokenized_prompts_neg"].view(-1)[13].add_(1))
    assert "tokenized_prompts_neg holds other prompts" in refusal("anomalyclip", file)


@pytest.mark.parametrize("method", [method for method in METHODS if method == "faprompt"])
def test_the_variant_with_one_abnormal_token_is_refused_until_it_is_named(save: Save, method: str) -> None:
    file = save(method, abnormal_tokens=1)
    assert "ctx_neg is [1, 10, 1, 128], expected [1, 10, 2, 128]" in refusal(method, file)
    done = import_official(load_params(), method, file, assignments=["abnormal_tokens=1"])
    assert done.header.settings["dap_selection"] == "first"


@pytest.mark.parametrize("method", [method for method in METHODS if method == "bayes_pfl"])
def test_shared_modules_must_be_the_same_and_a_classifier_may_be_left_out(save: Save, method: str) -> None:
    name = "PFL_abnormal.encoder.weight_mean.module.2.bias"
    message = refusal(method, save(method, lambda state: state.update({name: state[name] + 1})))
    assert f"{name} differs from state_encoder.weight_mean.module.2.bias" in message
    done = import_official(load_params(), method, save(method), assignments=["classifier_epochs=0"])
    learner, _ = checkpoint.load(done.path, towers(method))
    assert not [name for name in learner.checkpoint() if name.startswith(("fuse", "image_mapping"))]


@pytest.mark.parametrize("method", [method for method in METHODS if method == "bayes_pfl"])
def test_weights_of_the_first_stage_are_refused_until_their_classifier_is_left_out(save: Save, method: str) -> None:
    def begin(state: dict[str, Any]) -> None:
        for name in ("image_mapping", "fuse.fuse_modules", "fuse.compress", "fuse.post_process"):
            state[f"{name}.bias"].zero_()

    file = save(method, begin)
    message = refusal(method, file)
    assert message.startswith("official.pth: its image classifier (image_mapping, fuse) is as initialised")
    assert "--set classifier_epochs=0" in message
    done = import_official(load_params(), method, file, assignments=["classifier_epochs=0"])
    assert done.header.settings["classifier_epochs"] == 0


class Program:
    """What a pickle can hold beside tensors."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            {"prompt_learner": {"ctx_pos": Program()}},
            "it wants to run posix.mkdir; a checkpoint holds tensors only",
        ),
        ({"model": {}}, "expected the one key 'prompt_learner' with tensors below it, found: model"),
        ({"prompt_learner": {}, "epoch": 3}, "found: prompt_learner, epoch"),
        ({"prompt_learner": torch.zeros(2)}, "expected the one key 'prompt_learner'"),
        ({"prompt_learner": {7: torch.zeros(2)}}, "holds what is no plain tensor: 7"),
        (torch.zeros(3), "found: Tensor"),
    ],
)
def test_other_content_is_refused_and_nothing_in_it_is_run(place: Path, content: Any, complaint: str) -> None:
    torch.save(content, "official.pth")
    assert complaint in refusal("cops", "official.pth")
    assert not Path("ran").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04" + bytes(200), b"\x80\x02}q\x00."])
def test_files_that_are_no_checkpoint(place: Path, content: bytes) -> None:
    Path("official.pth").write_bytes(content)
    assert refusal("cops", "official.pth").startswith("official.pth: ")


def test_a_truncated_file(save: Save) -> None:
    file = save("cops")
    file.write_bytes(file.read_bytes()[:5000])
    assert refusal("cops", file).startswith("official.pth: not a readable file of torch.save")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (
            "import copz official.pth",
            "copz: no official checkpoints of it are known; there are: ada_clip, adapt_clip, a",
        ),
        ("import clip_zero official.pth", "clip_zero: no official checkpoints"),
        ("import cops nothing.pth", "nothing.pth: no such file"),
        ("import cops data", "data: no such file"),
        ("import cops official.pth --backbone large", "backbones.large does not exist"),
        ("import cops official.pth --set pool", "--set pool: expected NAME=VALUE"),
        ("import cops official.pth --set pool=4", "--set: pool: Input should be 1, 3, 5, 7 or 9, got 4"),
        ("import cops official.pth --set pol=3", "--set: unknown parameter 'pol'; did you mean 'pool'?"),
        ("import cops official.pth --set pool=[", "--set pool=[: the value is not valid YAML"),
        (
            "import cops official.pth --set vv_start=9",
            "vv_start 9: the image tower has blocks 0 to 3; change it with --set",
        ),
        ("import cops official.pth --set vv_start=9", "or name another CLIP with --backbone KEY (here default)"),
        ("import anomalyclip official.pth", "official.pth: not an official checkpoint"),
    ],
)
def test_mistakes_exit_with_2_and_name_the_remedy(
    save: Save, command: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save("cops")
    assert cli.main(command.split()) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert "Traceback" not in error


def test_the_backbone_must_be_prepared_and_unambiguous(save: Save) -> None:
    file = save("cops")
    Path("data/weights/default").unlink()
    assert "data/weights/default" in refusal("cops", file)
    write_params({}, backbones={"small": TINY, "other": TINY})
    assert "--backbone: name one of small, other" in refusal("cops", file)
    write_params({}, backbones={"other": TINY})
    assert import_official(load_params(), "cops", file).path.name.count("_") == 1


def test_help_names_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["import", "--help"])
    told = capsys.readouterr().out
    assert all(method in told for method in importable())


@pytest.mark.parametrize(
    "content", [{"pq_learner": {}}, {"textual_learner": {}, "visual_learner": {}, "pq_learner": 1}]
)
def test_a_file_without_all_adapters_is_refused(place: Path, content: Any) -> None:
    torch.save(content, "official.pth")
    message = refusal("adapt_clip", "official.pth")
    assert "expected the keys textual_learner, visual_learner, pq_learner with tensors below each, found: " in message
