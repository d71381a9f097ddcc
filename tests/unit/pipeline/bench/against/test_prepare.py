"""What both sides are given: the same learner twice, a CLIP that a loader of OpenAI's files takes, pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zsad.clip.untrained import config_as_openai, write_untrained
from zsad.common.errors import UserError
from zsad.config.schema import BackboneParams
from zsad.pipeline.bench.against.case import NAME, PICTURES, draw_pictures
from zsad.pipeline.bench.against.measure import METHODS
from zsad.pipeline.bench.against.ours import inputs
from zsad.pipeline.bench.against.prepare import as_official
from zsad.pipeline.bench.against.repository import driver_of
from zsad.training.official.convert import _mapping, convert


@pytest.mark.parametrize("method", METHODS)
def test_an_official_file_of_a_learner_is_imported_as_that_learner(
    method: str, build: Callable[..., Any], tmp_path: Path
) -> None:
    learner = build(method)
    top, state = as_official(method, learner)
    torch.save({top: state}, tmp_path / "official.pth")
    again = convert(learner, _mapping(method).layout(learner), tmp_path / "official.pth", "x")
    for name, value in learner.named_parameters():
        if name in learner.checkpoint():
            assert torch.equal(again[name], value), name
        else:  # what training alone reads is handed over by the official name
            assert driver_of(method).renamed(name) not in state


def test_weights_are_those_of_half_precision_and_alike_everywhere(tiny_config: dict[str, Any], tmp_path: Path) -> None:
    from zsad.clip.backbone import load_clip

    write_untrained(tiny_config, tmp_path / "clip")
    clip = load_clip(tmp_path / "clip", 48, "quickgelu", "bilinear", torch.device("cpu"))
    weight = clip.text.token_embedding
    assert torch.equal(weight.half().float(), weight)
    assert float(weight.sum()) == pytest.approx(800.04, abs=0.1)
    assert clip.logit_scale == pytest.approx(100, rel=1e-3)


def test_architectures_that_the_official_codes_cannot_build_are_refused() -> None:
    def config(name: str) -> dict[str, Any]:
        return config_as_openai(BackboneParams(name=name, pretrained=name, image_size=224))

    assert config("embedded")["vision_cfg"]["layers"] == 8
    with pytest.raises(UserError, match="no such architecture"):
        config("ViT-B-17")
    with pytest.raises(UserError, match="heads of 80"):
        config("ViT-H-14")


def test_pictures_with_masks_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    draw_pictures(tmp_path / "pictures", 32)
    inputs(tmp_path, 32)
    images, masks, labels, order = (
        np.load(tmp_path / f"{name}.npy") for name in ("images", "masks", "labels", "order")
    )
    assert images.shape == (PICTURES, 3, 32, 32)
    assert (masks.any((1, 2)) == labels).all()
    assert labels.sum() == PICTURES // 2
    assert sorted(order) == list(range(PICTURES))
    assert len(list((tmp_path / "pictures" / NAME).rglob("*_mask.png"))) == PICTURES // 2
