"""`zsad import`: what an official file holds, and the checkpoint of ours that it becomes."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.helpers.import_cases import METHODS, Save, place, refusal, save, towers
from tests.helpers.official_files import SHAPES, TOP, repeated, unpacked
from zsad.cli import main as cli
from zsad.common.io import file_sha256
from zsad.common.seeding import derive_seed
from zsad.config.params import load_params
from zsad.learners.lookup import build_config, learner_class
from zsad.training import checkpoint
from zsad.training.official.convert import _mapping, import_official

__all__ = ["place", "save"]  # the fixtures, by which pytest finds them

VIT_L = {  # tensors in the file, values in its distinct floating ones that are no buffer of CLIP
    "ada_clip": (38, 10_665_472),
    "adapt_clip": (166, 1_770_956),
    "anomalyclip": (32, 5_555_200),
    "april_gan": (8, 3_148_800),
    "bayes_pfl": (131, 27_370_017),
    "cops": (28, 4_783_104),
    "faprompt": (36, 9_612_256),
}


@pytest.mark.parametrize("method", METHODS)
def test_names_and_shapes_at_vit_l_are_those_of_the_released_files(vit_l_shapes: Any, method: str) -> None:
    mapping = _mapping(method)
    learner = learner_class(method)(build_config(method, mapping.SETTINGS, "x"), vit_l_shapes)
    layout = mapping.layout(learner)
    shapes = layout.shapes
    assert shapes == SHAPES[method](width=768, vision=1024, sets=8, layers=4)
    own = {name: shape for name, shape in shapes.items() if name not in layout.frozen and name not in repeated(shapes)}
    assert (len(shapes), sum(math.prod(shape) for shape in own.values())) == VIT_L[method]
    assert layout.top == TOP[method]


@pytest.mark.parametrize("method", METHODS)
def test_every_stored_tensor_of_ours_is_given_or_drawn(place: Path, method: str) -> None:
    mapping = _mapping(method)
    learner = learner_class(method)(build_config(method, mapping.SETTINGS, "x"), towers(method))
    rest = learner.checkpoint().keys() - mapping.layout(learner).trained
    assert rest <= {name for name, _ in learner.named_buffers()}


@pytest.mark.parametrize("method", METHODS)
def test_the_imported_learner_scores_as_one_with_the_same_tensors(save: Save, pictures: Any, method: str) -> None:
    file = save(method)
    state, clip = unpacked(method, torch.load(file, weights_only=True)), towers(method)
    wanted = learner_class(method)(build_config(method, _mapping(method).SETTINGS, "x"), clip)
    wanted.draw(torch.Generator().manual_seed(derive_seed("draws", 0)))
    with torch.no_grad():
        for name, value in [*wanted.named_parameters(), *wanted.named_buffers()]:
            if name in state and not name.startswith(wanted.training_only):
                value.copy_(state[name].reshape(value.shape))
    done = import_official(load_params(), method, file)
    learner, header = checkpoint.load(done.path, clip)
    assert header == done.header
    features, names = clip.image.encode(pictures[:3], wanted.spec), ["metal nut", "object", "brain"]
    expected, got = wanted.score(features, names), learner.score(features, names)
    assert torch.equal(expected.score, got.score)
    assert torch.equal(expected.map_logits, got.map_logits)
    assert expected.score.unique().numel() == 3


@pytest.mark.parametrize("method", METHODS)
def test_the_command_writes_the_same_bytes_each_time_and_says_what_it_used(
    save: Save, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = save(method)
    assert cli.main(["import", method, str(file)]) == 0
    (path,) = Path("data/imported").iterdir()
    first, digest, told = path.read_bytes(), file_sha256(file), capsys.readouterr().out
    assert path.name == f"{method}_{file_sha256(path)[:12]}.safetensors"
    assert checkpoint.read_header(path).imported == {"file": "official.pth", "sha256": digest}
    assert f"{path} written" in told
    assert "sigma" in told
    (block,) = [line for line in told.splitlines() if line.startswith(f"  {method}_official: ")]
    assert yaml.safe_load(block)[f"{method}_official"] == {
        "method": method,
        "imported": str(path),
        "source": "source",
    }
    assert cli.main(["import", method, str(file)]) == 0
    assert path.read_bytes() == first


def test_half_precision_weights_are_taken(save: Save) -> None:
    def halve(state: dict[str, Any]) -> None:
        state.update({name: value.half() for name, value in state.items() if value.is_floating_point()})

    done = import_official(load_params(), "anomalyclip", save("anomalyclip", halve))
    learner, _ = checkpoint.load(done.path, towers("anomalyclip"))
    assert all(value.dtype == torch.float32 for value in learner.checkpoint().values())


def test_settings_are_typed_and_tell_results_apart(save: Save) -> None:
    file, params = save("cops"), load_params()
    usual = import_official(params, "cops", file)
    assert usual.header.settings["pool"] == 5
    assert import_official(params, "cops", file, assignments=["pool=5", "rec_loss='off'"]).path == usual.path
    other = import_official(params, "cops", file, assignments=["pool=3", "alpha=0.35", "beta=1.0"])
    assert [other.header.settings[name] for name in ("pool", "alpha", "beta")] == [3, 0.35, 1.0]
    elsewhere = import_official(params, "cops", file, "other")
    assert len({usual.path, other.path, elsewhere.path}) == 3
    assert elsewhere.header.backbone["sha256"] != usual.header.backbone["sha256"]


def test_constants_of_the_training_set_that_are_not_given_are_said(
    save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(save("cops"))
    assert cli.main(["import", "cops", file, "--set", "pool=3"]) == 0
    told = capsys.readouterr().out
    assert "ASSUMED: alpha 0.26, beta 0.9: the constants of weights trained on VisA; for weights trained on" in told
    given = ["--set", "pool=3", "--set", "alpha=0.35", "--set", "beta=1.0"]
    assert " ".join(given) in told
    assert cli.main(["import", "cops", file, *given]) == 0
    assert "ASSUMED" not in capsys.readouterr().out


def test_sizes_of_prompts_follow_settings(save: Save) -> None:
    def shorten(state: dict[str, Any]) -> None:
        for polarity in ("pos", "neg"):
            state[f"ctx_{polarity}"] = state[f"ctx_{polarity}"][:, :, :4].clone()
            ids, suffix = state[f"tokenized_prompts_{polarity}"], state[f"token_suffix_{polarity}"]
            state[f"tokenized_prompts_{polarity}"] = torch.cat([ids[..., :5], ids[..., 13:], ids[..., -8:]], dim=-1)
            state[f"token_suffix_{polarity}"] = torch.cat([suffix, suffix[:, :, -8:]], dim=2)

    file = save("anomalyclip", shorten)
    assert "ctx_neg is [1, 1, 4, 128], expected [1, 1, 12, 128]" in refusal("anomalyclip", file)
    done = import_official(load_params(), "anomalyclip", file, assignments=["context_length=4"])
    assert done.header.settings["context_length"] == 4
