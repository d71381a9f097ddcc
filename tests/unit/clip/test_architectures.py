"""Which CLIPs learners can read: all methods on each form of plain tower, and reasons for the rest."""

import re
from typing import Any

import open_clip
import pytest
import torch
import yaml

from tests.conftest import seeded_values, write_backbone
from tests.helpers.backbone_table import PAGE, by_obstacles, with_table
from zsad.clip.architectures import obstacles
from zsad.clip.backbone import load_clip
from zsad.config.schema import BackboneParams
from zsad.learners.lookup import build_config, learner_class, methods

PLAIN = by_obstacles()[""]


def form(name: str) -> tuple[Any, ...]:
    """What of an architecture is more than a size."""
    config = open_clip.get_model_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    assert config["embed_dim"] == text["width"]  # Bayes-PFL adds joint vectors to tokens
    heads = vision.get("head_width", 64), text["width"] // text["heads"]
    return *heads, vision.get("mlp_ratio", 4.0)


FORMS = {form(name): name for name in reversed(PLAIN)}


@pytest.fixture(scope="module", params=FORMS.values())
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A backbone with this architecture's keys and proportions: 2 heads wide, 4 blocks deep, random."""
    config = open_clip.get_model_config(request.param)
    heads = config["vision_cfg"].get("head_width", 64)
    config["vision_cfg"] |= {"image_size": 48, "patch_size": 8, "layers": 4, "width": 2 * heads}
    config["text_cfg"] |= {"layers": 4, "width": 128, "heads": 2}
    config |= {"embed_dim": 128}
    activation = "quickgelu" if config.get("quick_gelu") else "gelu"
    return write_backbone(tmp_path_factory.mktemp("small"), config, 0, "other", activation)


@pytest.mark.parametrize("method", methods())
def test_every_method_runs_on_every_plain_form(directory: Any, pictures: torch.Tensor, method: str) -> None:
    kind = learner_class(method)
    clip = load_clip(directory, 72, kind.openai_activation, kind.position_resize, torch.device("cpu"))
    learner = kind(build_config(method, {}, "learners.x"), clip)
    learner.load_state_dict(seeded_values({name: value.shape for name, value in learner.state_dict().items()}, 1))
    scored = learner.score(clip.image.encode(pictures[:1], learner.spec), ["metal nut"], "target")
    assert scored.score.shape == (1,)
    assert ((scored.score >= 0) & (scored.score <= 1)).all()
    assert scored.map_logits.isfinite().all()


def test_the_table_is_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run `make docs`"


def test_the_examples_of_the_page_are_open_clips() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for entry in yaml.safe_load(block)["backbones"].values():
        params = BackboneParams.model_validate(entry)
        assert params.name in PLAIN
        assert params.pretrained in open_clip.list_pretrained_tags_by_model(params.name)
        assert params.image_size % open_clip.get_model_config(params.name)["vision_cfg"]["patch_size"] == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ViT-B-16-SigLIP", "no class token"),
        ("ViT-L-14-CLIPA", "mean of its patches"),
        ("EVA02-B-16", "rotary"),
        ("PE-Core-B-16", "rotary"),
        ("RN50", "residual network"),
        ("convnext_base", "convolutional"),
        ("ViTamin-B", "convolutions"),
        ("roberta-ViT-B-32", "another kind of text"),
        ("ViT-L-14-worldwide", "tokenizer"),
        ("coca_ViT-B-32", "captions"),
        ("ViT-M-16-alt", "ls_init_value"),
    ],
)
def test_others_say_why(name: str, why: str) -> None:
    assert any(why in reason for reason in obstacles(open_clip.get_model_config(name)))
