"""Windows of patches: which patches they hold, their embeddings, and means over the windows that cover a patch."""

import pytest
import torch

from zsad.clip import windows
from zsad.clip.backbone import FeatureSpec
from zsad.clip.windows import mean_over_windows, window_patches

SCALES = (1, 2, 3, 9)


@pytest.fixture(scope="module")
def features(clip, pictures):
    return clip.image.encode(pictures[:3], FeatureSpec(cls_post=True, tokens=True, layers=(4,), windows=SCALES))


def test_windows_of_a_small_grid_by_hand():
    assert window_patches(3, 2).tolist() == [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]


@pytest.mark.parametrize(("grid", "scale", "count"), [(15, 2, 196), (15, 3, 169), (15, 1, 225), (15, 15, 1)])
def test_number_of_windows_and_how_many_cover_a_patch(grid, scale, count):
    patches = window_patches(grid, scale)
    assert patches.shape == (count, scale * scale)
    covering = patches.flatten().bincount(minlength=grid * grid)
    assert covering.min() == 1
    assert covering.max() == min(scale, grid - scale + 1) ** 2


@pytest.mark.parametrize("scale", [1, 2, 3, 7])
def test_mean_over_windows_is_the_mean_over_those_that_cover_a_patch(scale):
    patches = window_patches(7, scale)
    values = torch.rand(2, len(patches), dtype=torch.float64)
    got = mean_over_windows(values, scale)
    for patch in range(49):
        wanted = values[:, (patches == patch).any(1)].mean(1)
        torch.testing.assert_close(got[:, patch // 7, patch % 7], wanted, rtol=0, atol=1e-12)


def test_an_infinite_value_reaches_the_patches_of_its_window_only():
    values = torch.ones(1, 4)
    values[0, 3] = torch.inf
    assert mean_over_windows(values, 2)[0].isinf().tolist() == [[False] * 3, [False, True, True], [False, True, True]]


@torch.no_grad()
def test_a_window_is_a_picture_without_its_other_patches(clip, pictures, features):
    """Each window run alone, through open_clip's order of things: positions, ln_pre, all blocks, ln_post, proj."""
    tower = clip.image
    x = tower.conv1(pictures[:3]).flatten(2).transpose(1, 2)
    x = torch.cat([tower.class_embedding.expand(3, 1, -1), x], dim=1) + tower.positional_embedding
    for scale in (2, 3):
        for i, members in enumerate(window_patches(9, scale)):
            h = tower.ln_pre(torch.cat([x[:, :1], x[:, 1 + members]], dim=1))
            for block in tower.blocks:
                h = block.finish(h, block.project(torch.nn.functional.scaled_dot_product_attention(*block.qkv(h))))
            wanted = tower.ln_post(h[:, 0]) @ tower.projection
            torch.testing.assert_close(features.window(scale)[:, i], wanted, rtol=0, atol=1e-5)


def test_the_window_of_all_patches_is_the_picture(features):
    assert features.window(9).shape == (3, 1, 128)
    torch.testing.assert_close(features.window(9)[:, 0], features.cls_post, rtol=0, atol=1e-5)


def test_tokens_are_the_last_block_after_ln_post(clip, features):
    torch.testing.assert_close(features.tokens, clip.image.ln_post(features.layer(4)), rtol=0, atol=0)


def test_how_windows_are_cut_into_passes_changes_nothing(clip, pictures, features, monkeypatch):
    for tokens in (1, 37, 10**9):
        monkeypatch.setattr(windows, "CPU_TOKENS", tokens)
        other = clip.image.encode(pictures[:3], FeatureSpec(windows=(3,)))
        torch.testing.assert_close(other.window(3), features.window(3), rtol=0, atol=1e-5)


def test_other_features_are_bit_identical_with_and_without_windows(clip, pictures):
    spec = {"cls": True, "cls_post": True, "vv_start": 1, "layers": (2, 4)}
    plain = clip.image.encode(pictures[:2], FeatureSpec(**spec))
    more = clip.image.encode(pictures[:2], FeatureSpec(**spec, tokens=True, windows=(2,)))
    assert more.tensors.keys() - plain.tensors.keys() == {"tokens", "window_2"}
    assert all(torch.equal(plain.tensors[name], more.tensors[name]) for name in plain.tensors)
