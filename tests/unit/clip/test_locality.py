"""The stream of local attention: who attends to whom, and what it is in its limits."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from zsad.clip.backbone import FeatureSpec
from zsad.clip.locality import Locality, attend_near, local_patches, neighbours


@pytest.mark.parametrize("start", [0, 1, 2, 4])
@torch.no_grad()
def test_without_a_radius_and_with_the_class_token_it_is_the_main_stream(clip, pictures, start):
    got = clip.image.encode(pictures[:2], FeatureSpec(layers=(4,), local=Locality(start, None, keep_cls=True)))
    wanted = clip.image.ln_post(got.layer(4)) @ clip.image.projection
    torch.testing.assert_close(got.local, wanted, rtol=0, atol=1e-5)


@torch.no_grad()
def test_other_features_do_not_change(clip, pictures):
    plain = FeatureSpec(cls=True, cls_post=True, vv_start=1, layers=(2, 4))
    alone = clip.image.encode(pictures[:2], plain)
    beside = clip.image.encode(pictures[:2], replace(plain, local=Locality(2, 1)))
    assert set(beside.tensors) == {*alone.tensors, "local"}
    assert all(torch.equal(value, beside.tensors[name]) for name, value in alone.tensors.items())


def test_numbers_of_neighbours():
    """Inside (2r+1)², at a corner (r+1)²; with the class token one more each, and all for itself."""
    for radius in (0, 1, 2):
        near = neighbours(9, radius).sum(1).view(9, 9)
        assert near[4, 4] == (2 * radius + 1) ** 2
        assert near[0, 0] == near[8, 0] == near[8, 8] == (radius + 1) ** 2
        assert near[0, 4] == (radius + 1) * (2 * radius + 1)
        with_cls = neighbours(9, radius, keep_cls=True).sum(1)
        assert with_cls[0] == 82
        assert torch.equal(with_cls[1:].view(9, 9), near + 1)
    assert neighbours(9, None).all()


@torch.no_grad()
def test_a_patch_alone_keeps_its_own_value(clip):
    """r = 0: attention gives out_proj(v_i) exactly."""
    torch.manual_seed(0)
    block, x = clip.image.blocks[1], torch.randn(2, 81, 128)
    q, k, v = block.qkv(x)
    assert torch.equal(block.project(attend_near(q, k, v, neighbours(9, 0), Locality(1, 0))), block.project(v))


@pytest.mark.parametrize("radius", [1, 2, 5, 8, None])
def test_bands_give_what_the_whole_matrix_gives(radius):
    """Rows are attended in bands, so that far keys are not computed."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 2, 81, 16).unbind(0)
    got = attend_near(q, k, v, neighbours(9, radius), Locality(0, radius))
    scores = (q @ k.transpose(-1, -2) / 4).masked_fill(~neighbours(9, radius), float("-inf"))
    torch.testing.assert_close(got, scores.softmax(-1) @ v, rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_stream_is_ordinary_blocks_with_masked_attention(clip):
    """From block 2 on, without the class token: attention and MLP with their residuals, by the textbook formula."""
    torch.manual_seed(0)
    entry = torch.randn(2, 82, 128)
    x = entry[:, 1:]
    for block in clip.image.blocks[2:]:
        W, b, heads = block.in_proj_weight, block.in_proj_bias, (2, 81, 2, 64)
        q, k, v = (part.view(heads).transpose(1, 2) for part in F.linear(block.ln_1(x), W, b).chunk(3, dim=-1))
        weights = (q @ k.transpose(-1, -2) / 8).masked_fill(~neighbours(9, 1), float("-inf")).softmax(-1)
        x = x + block.out_proj((weights @ v).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.ln_2(x))
    torch.testing.assert_close(local_patches(clip.image.blocks, entry, Locality(2, 1)), x, rtol=0, atol=1e-5)


@torch.no_grad()
def test_what_a_patch_says_stays_within_its_reach(clip):
    """A change of one patch reaches r patches further with every block, and the class token nowhere."""
    torch.manual_seed(0)
    entry = torch.randn(1, 82, 128)
    changed = entry.clone()
    changed[0, 1 + 4 * 9 + 4] += torch.randn(128)
    changed[0, 0] += 1
    before, after = (local_patches(clip.image.blocks, x, Locality(2, 1)) for x in (entry, changed))
    moved = (before - after).abs().amax(-1).view(9, 9) > 1e-6
    assert torch.equal(moved, neighbours(9, 2)[4 * 9 + 4].view(9, 9))
