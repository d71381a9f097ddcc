"""APRIL-GAN: prompts, linear layers, losses, the map as a mean over blocks, mosaics."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import load_clip
from zsad.common.errors import UserError
from zsad.inference.maps import sigmoid
from zsad.learners.april_gan import TEMPLATES, AprilGan, Config, mean_log_odds
from zsad.learners.base import Sample
from zsad.learners.shared.losses import dice_loss, focal_loss
from zsad.learners.shared.states import NORMAL_STATES, WITH_BROKEN

NAMES = ["bottle", "metal nut"] * 6
Build = Callable[..., Any]


@pytest.fixture(scope="module")
def make(build: Build) -> Build:
    """make(**settings) → a learner with seeded parameters."""
    return partial(build, "april_gan")


@pytest.fixture(scope="module")
def features(clip: Any, make: Build, pictures: Any) -> Any:
    return clip.image.encode(pictures, make().spec)


def test_parameters_at_vit_l(vit_l_shapes: Any) -> None:
    """3,148,800 scalars: four layers 1024 → 768, named as in the official state dict."""
    learner = AprilGan(Config(), vit_l_shapes)
    shapes = {name: tuple(value.shape) for name, value in learner.state_dict().items()}
    assert shapes == {
        f"fc.{i}.{kind}": (768, 1024) if kind == "weight" else (768,) for i in range(4) for kind in ("weight", "bias")
    }
    assert sum(parameter.numel() for parameter in learner.parameters()) == 3_148_800
    assert learner.spec.layers == (6, 12, 18, 24)
    assert learner.spec.vv_start is None


def test_blocks_follow_the_backbone(make: Build) -> None:
    assert make().layers == (1, 2, 3, 4)
    assert len(make(layers=(2, 4)).fc) == 2
    with pytest.raises(UserError, match=r"layers \[0, 2\]: the image tower has blocks 1 to 4"):
        make(layers=(0, 2))


def test_official_constants_are_the_defaults(make: Build) -> None:
    config = make().config
    assert (config.epochs, config.train_batch_size, config.lr, config.betas) == (15, 8, 0.001, (0.5, 0.999))
    assert (config.temperature, config.sigma, config.mosaic, config.augmented_views) == (0.01, 0.0, 0.0, 0)
    assert AprilGan.openai_activation == "gelu"
    assert (len(NORMAL_STATES), len(WITH_BROKEN), len(set(TEMPLATES))) == (7, 5, 35)


def test_prototypes_are_means_of_unit_features(clip: Any, make: Build) -> None:
    wanted = []
    for states in (NORMAL_STATES, WITH_BROKEN):
        prompts = [template.replace("{}", state.replace("{}", "bottle")) for state in states for template in TEMPLATES]
        wanted.append(F.normalize(F.normalize(clip.text.encode_strings(prompts), dim=-1).mean(0), dim=0))
    learner = make()
    torch.testing.assert_close(learner.prototypes("bottle"), torch.stack(wanted), rtol=0, atol=1e-6)
    assert make().prototypes("bottle") is learner.prototypes("bottle")  # computed once, whatever learner asks
    normal, anomalous = learner.text_features(["bottle", "metal nut"])
    assert torch.equal(normal[0], learner.prototypes("bottle")[0])
    assert torch.equal(anomalous[1], learner.prototypes("metal nut")[1])


def test_another_clip_has_prototypes_of_its_own(backbone: Build, make: Build) -> None:
    other = load_clip(backbone(seed=5), 72, "quickgelu", "bilinear", torch.device("cpu"))
    assert not torch.allclose(make(clip=other).prototypes("x"), make().prototypes("x"), atol=1e-3)


def official_maps(learner: Any, features: Any, size: int) -> list[torch.Tensor]:
    """The softmax [B, size, size] of each block, by both channels as the official code writes it."""
    text = torch.stack([learner.prototypes(name).T for name in NAMES])
    maps = []
    for layer, linear in zip(learner.layers, learner.fc, strict=True):
        logits = 100 * F.normalize(linear(features.layer(layer)), dim=-1) @ text
        grid = logits.transpose(1, 2).unflatten(2, (9, 9))
        maps.append(F.interpolate(grid, size, mode="bilinear", align_corners=True).softmax(1)[:, 1])
    return maps


@torch.no_grad()
def test_the_map_is_the_mean_over_blocks_of_softmaxes_after_upsampling(make: Build, features: Any) -> None:
    learner = make()
    scored = learner.score(features, NAMES)
    wanted = torch.stack(official_maps(learner, features, 72)).sum(0)
    got = sigmoid(scored.map_logits.double().numpy())
    assert got.shape == (12, 72, 72)
    np.testing.assert_allclose(4 * got, wanted.numpy(), atol=2e-5)


@torch.no_grad()
def test_the_score_is_clips_own_and_no_layer_moves_it(make: Build, features: Any) -> None:
    learner = make()
    text = torch.stack([learner.prototypes(name) for name in NAMES])
    wanted = (100 * (F.normalize(features.cls_post, dim=-1)[:, None] * text).sum(-1)).softmax(-1)[:, 1]
    before = learner.score(features, NAMES)
    torch.testing.assert_close(before.score.float(), wanted, rtol=0, atol=1e-5)
    for parameter in learner.parameters():
        parameter.mul_(-1)
    after = learner.score(features, NAMES)
    assert torch.equal(before.score, after.score)
    assert not torch.equal(before.map_logits, after.map_logits)


def test_loss_is_focal_and_dice_summed_over_blocks(make: Build, features: Any, make_batch: Build) -> None:
    learner = make()
    batch = make_batch(features, range(12))
    batch.names[:] = NAMES
    maps = official_maps(learner, features, 72)
    terms = learner.loss(batch)
    assert set(terms) == {"focal", "dice"}
    for name, one in (("focal", focal_loss), ("dice", dice_loss)):
        wanted = sum(one(p, batch.masks).item() for p in maps)
        assert terms[name].item() == pytest.approx(wanted, rel=1e-5)


def test_a_last_batch_of_one_picture_trains(make: Build, features: Any, make_batch: Build) -> None:
    """The official code squeezes the batch dimension of its masks away and takes Dice row by row."""
    learner = make()
    alone = learner.loss(make_batch(features, [1]))
    twice = learner.loss(make_batch(features, [1, 1]))
    assert all(alone[name].item() == pytest.approx(twice[name].item(), rel=1e-5) for name in alone)


def test_mean_log_odds_by_hand_and_where_float32_is_full() -> None:
    logits = torch.tensor([[0.0, 30.0, 40.0, -90.0], [2.0, 30.0, 40.0, -100.0]])
    got = mean_log_odds(logits)
    p = (0.5 + 1 / (1 + np.exp(-2.0))) / 2
    assert got[0].item() == pytest.approx(np.log(p / (1 - p)), rel=1e-5)
    assert got[1:].tolist() == pytest.approx([30.0, 40.0, -90.0 + np.log(0.5)], abs=1e-3)


def test_map_scale_stores_a_smaller_map(make: Build, features: Any) -> None:
    learner = make(map_scale=2)
    assert learner.map_grid == (18, 18)
    assert learner.score(features, NAMES).map_logits.shape == (12, 18, 18)


def test_mosaics_come_as_often_as_asked_and_other_views_are_the_picture(make: Build) -> None:
    learner = make(augmented_views=2, mosaic=0.2)
    assert (learner.views, make().views) == (2, 0)
    normal = Sample(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool), 0)
    spoilt = Sample(np.full((8, 8, 3), 9, np.uint8), np.ones((8, 8), bool), 1)
    generator = np.random.default_rng(0)
    drawn = [learner.view(normal, [lambda: spoilt], generator) for _ in range(1000)]
    joined = [view for view in drawn if view is not normal]
    assert len(joined) / 1000 == pytest.approx(0.2, abs=0.04)
    assert all(view.mask.shape == (16, 16) and view.mask.all() for view in joined)
    assert all(learner.view(normal, [], generator) is normal for _ in range(30))


def test_paper_reads_nothing_from_the_target(make: Build, features: Any) -> None:
    scored = [make(protocol=p).score(features, NAMES, "visa") for p in ("strict", "paper")]
    assert torch.equal(scored[0].score, scored[1].score)
    assert torch.equal(scored[0].map_logits, scored[1].map_logits)
