"""Streams of the image tower that single methods read."""

import numpy as np
import pytest
import torch
from PIL import Image

from zsad.clip.backbone import FeatureSpec
from zsad.clip.channels import swap_red_and_blue
from zsad.clip.inputs import to_input


@torch.no_grad()
def test_halfway_lacks_the_mlp_only(clip, pictures):
    features = clip.image.encode(pictures[:2], FeatureSpec(layers=(2,), halfway=(2,)))
    block, halfway = clip.image.blocks[1], features.halfway(2)
    torch.testing.assert_close(halfway + block.mlp(block.ln_2(halfway)), features.layer(2), rtol=0, atol=1e-6)


def test_asking_for_more_changes_nothing_else(clip, pictures):
    spec = FeatureSpec(cls=True, cls_post=True, vv_start=1, layers=(1, 4))
    plain = clip.image.encode(pictures[:2], spec).tensors
    more = clip.image.encode(pictures[:2], FeatureSpec(True, True, 1, (1, 4), halfway=(1, 3)))
    assert {"halfway_1", "halfway_3"} == more.tensors.keys() - plain.keys()
    assert all(torch.equal(more.tensors[name], plain[name]) for name in plain)


def test_the_stream_at_several_depths(clip, pictures):
    """The last one is `patches` and the class token; where V-V has not begun, it is the main stream."""
    got = clip.image.encode(pictures[:2], FeatureSpec(vv_start=2, vv_layers=(2, 3, 4)))
    assert got.tensors.keys() == {"stream_2", "stream_3", "stream_4"}
    plain = clip.image.encode(pictures[:2], FeatureSpec(vv_start=2, layers=(2,)))
    torch.testing.assert_close(got.stream(4)[:, 1:], plain.patches)
    main = clip.image.ln_post(plain.layer(2)) @ clip.image.projection
    torch.testing.assert_close(got.stream(2)[:, 1:], main)
    assert not torch.allclose(got.stream(3), got.stream(4))


@pytest.fixture
def photo():
    return np.random.RandomState(0).randint(0, 256, (72, 72, 3), np.uint8)


def test_exchanged_channels_are_those_of_a_picture_never_converted(photo):
    rgb, bgr = (torch.from_numpy(to_input(Image.fromarray(p), 72))[None] for p in (photo, photo[..., ::-1].copy()))
    torch.testing.assert_close(swap_red_and_blue(rgb), bgr, rtol=0, atol=1e-6)
    torch.testing.assert_close(swap_red_and_blue(bgr), rgb, rtol=0, atol=1e-6)
    assert (rgb - bgr).abs().max() > 1


def test_bgr_features_are_those_of_exchanged_channels(clip, pictures):
    got = clip.image.encode(pictures[:2], FeatureSpec(cls_post=True, bgr=True)).cls_post
    plain = FeatureSpec(cls_post=True)
    assert torch.equal(got, clip.image.encode(swap_red_and_blue(pictures[:2]), plain).cls_post)
    assert (got - clip.image.encode(pictures[:2], plain).cls_post).abs().max() > 0.1
