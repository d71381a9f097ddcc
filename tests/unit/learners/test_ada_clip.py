"""AdaCLIP: prompts in both towers, fusion of clusters, losses, and where `paper` and `strict` part."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import FeatureSpec
from zsad.common.errors import UserError
from zsad.learners.ada_clip import AdaClip, Config
from zsad.learners.ada_clip.fusion import cluster, semantic_fusion
from zsad.learners.ada_clip.prompts import prompts
from zsad.learners.base import Sample
from zsad.learners.shared.losses import dice_loss, focal_loss
from zsad.training.loop import make_adam


@pytest.fixture
def features(clip, build, pictures):
    return clip.image.encode(pictures, build("ada_clip").spec)


def test_parameters_at_vit_l(vit_l_shapes):
    """The official state dict less text_prompter.static_prompts.0."""
    learner = AdaClip(Config(), vit_l_shapes)
    stored = {name: tuple(value.shape) for name, value in learner.state_dict().items()}
    assert stored.pop("seed") == ()
    assert {name: shape for name, shape in stored.items() if "head" not in name} == {
        **{f"text_prompter.static_prompts.{i}": (5, 768) for i in (1, 2, 3)},
        **{f"visual_prompter.static_prompts.{i}": (5, 1024) for i in range(4)},
    }
    assert stored["patch_token_layer.head.3.weight"] == (768, 1024)
    assert stored["dynamic_visual_prompt_generator.head.4.weight"] == (1024, 768)
    assert stored["cls_token_layer.head.0.bias"] == (768,)
    assert sum(parameter.numel() for parameter in learner.parameters()) == 10_661_632
    assert (learner.spec, learner.layers) == (FeatureSpec(entry=0, cls_post=True), (6, 12, 18, 24))


def test_mosaics_join_anomalous_pictures(build):
    learner = build("ada_clip", augmented_views=2, mosaic=1.0)
    assert (learner.views, build("ada_clip").views) == (2, 0)
    normal = Sample(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool), 0)
    spoilt = Sample(np.full((8, 8, 3), 9, np.uint8), np.ones((8, 8), bool), 1)
    joined = learner.view(normal, [lambda: spoilt], np.random.default_rng(0))
    assert (joined.label, joined.mask.shape, joined.mask.all()) == (1, (16, 16), True)


def test_official_constants_are_the_defaults(build):
    config = build("ada_clip").config
    assert (config.epochs, config.train_batch_size, config.lr, config.betas) == (5, 1, 0.01, (0.5, 0.999))
    assert (config.depth, config.prompt_length, config.clusters, config.fusion) == (4, 5, 20, 0.2)
    assert (config.temperature, config.sigma, config.weight_decay, config.dice_by_row) == (0.01, 4.0, 0.01, True)


def test_hand_written_prompts():
    normal, anomalous = prompts("metal-nut")
    assert (len(normal), len(anomalous)) == (28, 20)
    assert normal[0] == "a bad photo of a metal nut."
    assert anomalous[-1] == "a cropped photo of the metal nut with damage."


def test_the_optimiser_is_adamw(build):
    """Decay apart from the gradient: a step with a gradient of 0 shrinks by rate × decay."""
    learner = build("ada_clip")
    optimizer = make_adam(learner.phases()[0], learner.config.betas)
    before = learner.cls_token_layer.head[0].weight.detach().clone()
    for parameter in learner.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(learner.cls_token_layer.head[0].weight, before * (1 - 0.01 * 0.01))


@torch.no_grad()
def test_prompts_are_of_the_picture_itself(build, features):
    """Text and patches of a picture follow its own feature, whatever stands beside it."""
    learner = build("ada_clip")
    text = learner.text_features(["nut"] * 3, features.cls_post[:3])
    assert (text[0] - text[1]).abs().max() > 1e-3
    alone = learner.text_features(["nut"], features.cls_post[1:2])
    torch.testing.assert_close(text[1:2], alone, rtol=0, atol=1e-6)
    layers, image = learner.image_features(features.select([0, 1]))
    own_layers, own_image = learner.image_features(features.select([1]))
    torch.testing.assert_close(image[1:], own_image, rtol=0, atol=1e-6)
    torch.testing.assert_close(layers[0][1:], own_layers[0], rtol=0, atol=1e-6)


@torch.no_grad()
def test_every_prompted_block_is_read(build, features):
    learner, few = build("ada_clip"), features.select([0, 1])
    generator, (_, image) = torch.Generator().manual_seed(0), learner.image_features(few)
    text = learner.text_features(["nut"] * 2, few.cls_post)
    for prompter, before in ((learner.visual_prompter, image), (learner.text_prompter, text)):
        for tokens in prompter.static_prompts.values():
            kept = tokens.detach().clone()
            tokens += torch.randn(tokens.shape, generator=generator)
            after = (
                learner.image_features(few)[1] if before is image else learner.text_features(["nut"] * 2, few.cls_post)
            )
            tokens.copy_(kept)
            assert (after - before).abs().max() > 1e-4


def test_fusion_is_a_mean_of_means_over_clusters():
    """Two layers, four patches of which the two most anomalous are chosen; each is a cluster."""
    torch.manual_seed(0)
    layers, logits = list(torch.randn(2, 1, 30, 8)), torch.arange(30.0)[None]
    got = semantic_fusion(layers, logits, 2, seed=0)
    chosen = torch.stack(layers)[:, 0, range(29, 19, -1)]
    labels = cluster(torch.cat([chosen[0], chosen[1]], dim=1), 2, 0)
    means = [chosen[:, labels == label].flatten(0, 1).mean(0) for label in (0, 1)]
    torch.testing.assert_close(got, F.normalize((means[0] + means[1]) / 2, dim=0)[None])


def test_clusters_follow_the_points():
    points = torch.tensor([[0.0, 0], [0, 0.1], [5, 5], [5, 5.1], [9, 0]])
    labels = cluster(points, 3, 4).tolist()
    assert labels[0] == labels[1] != labels[2] == labels[3] != labels[4]


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@torch.no_grad()
def test_fewer_patches_than_clusters_and_equal_patches(build, features):
    same = semantic_fusion([torch.ones(1, 7, 4)], torch.zeros(1, 7), 20, seed=0)
    torch.testing.assert_close(same, torch.full((1, 4), 0.5))
    assert build("ada_clip", clusters=100).score(features, ["nut"] * 12).score.isfinite().all()


@torch.no_grad()
def test_strict_starts_k_means_from_the_stored_seed_and_paper_from_none(build, features, monkeypatch):
    seeds = []

    def spy(layers, logits, clusters, seed):
        seeds.append(seed)
        return semantic_fusion(layers, logits, clusters, seed)

    monkeypatch.setattr("zsad.learners.ada_clip.semantic_fusion", spy)
    for protocol in ("strict", "paper"):
        learner = build("ada_clip", protocol=protocol)
        learner.draw(torch.Generator().manual_seed(3))
        learner.score(features.select([0]), ["nut"])
    assert seeds == [int(learner.seed), None]
    assert learner.checkpoint()["seed"] > 0


@pytest.mark.parametrize("by_row", [True, False])
def test_dice_of_rows_or_of_the_whole_map(build, features, make_batch, by_row):
    learner, batch = build("ada_clip", dice_by_row=by_row, layers=[4], clusters=0), make_batch(features, [1, 2])
    _, patches = learner.logits(batch.features, batch.names, None)
    p = F.interpolate(patches, size=(72, 72), mode="bilinear", align_corners=True)[:, 0].sigmoid()
    rows = [(p.reshape(-1, 72), batch.masks.reshape(-1, 72)), (p, batch.masks)][not by_row]
    dice = dice_loss(*rows) + dice_loss(1 - rows[0], 1 - rows[1])
    wanted = focal_loss(p, batch.masks) + dice
    assert learner.loss(batch)["seg"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_map_is_as_fine_as_asked(build, features):
    assert build("ada_clip").map_grid == (72, 72)
    learner = build("ada_clip", map_scale=2)
    assert learner.score(features.select([0]), ["nut"]).map_logits.shape == (1, 18, 18)


def test_more_prompted_blocks_than_there_are_is_refused(build):
    with pytest.raises(UserError, match="depth 5: the shorter of both towers has 4 blocks"):
        build("ada_clip", depth=5)
