"""The adapter around open_clip: same features as open_clip itself, and what it refuses."""

import copy

import pytest
import torch
from torch import nn

from zsad.clip import weights
from zsad.clip.backbone import FeatureSpec, load_clip, resize_positions
from zsad.common.errors import UserError
from zsad.config.schema import BackboneParams

CPU = torch.device("cpu")
VISION = {"image_size": 48, "patch_size": 8, "width": 128, "layers": 4, "head_width": 64}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 4}


def block_outputs(model, images):
    """Outputs [B, 1+N, C] of every image block of an open_clip model, and its image feature."""
    outputs = []
    hooks = [
        block.register_forward_hook(lambda m, i, output: outputs.append(output))
        for block in model.visual.transformer.resblocks
    ]
    feature = model.encode_image(images)
    for hook in hooks:
        hook.remove()
    return outputs, feature


@torch.no_grad()
def test_same_features_as_open_clip_at_native_size(backbone, open_clip_model, pictures):
    images = pictures[:2, :, :48, :48].contiguous()
    clip = load_clip(backbone(), 48, "quickgelu", "bilinear", CPU)
    got = clip.image.encode(images, FeatureSpec(cls=True, cls_post=True, layers=(1, 2, 3, 4)))
    blocks, feature = block_outputs(open_clip_model, images)
    torch.testing.assert_close(got.cls_post, feature, rtol=0, atol=1e-5)
    torch.testing.assert_close(got.cls, blocks[-1][:, 0] @ open_clip_model.visual.proj, rtol=0, atol=1e-5)
    for i, block in enumerate(blocks):
        torch.testing.assert_close(got.layer(i + 1), block[:, 1:], rtol=0, atol=1e-5)
    assert set(got.tensors) == {"cls", "cls_post", "layer_1", "layer_2", "layer_3", "layer_4"}


@torch.no_grad()
def test_same_features_as_open_clip_at_another_size(backbone, open_clip_model, tiny_config, pictures):
    """open_clip resizes positions by antialiased bicubic interpolation when the size of its model is changed."""
    from open_clip.model import CLIP, resize_pos_embed

    tiny_config["vision_cfg"]["image_size"] = 72
    model, state = CLIP(**tiny_config, quick_gelu=True), copy.deepcopy(open_clip_model.state_dict())
    resize_pos_embed(state, model)
    model.load_state_dict(state)
    clip = load_clip(backbone(), 72, "quickgelu", "bicubic_antialias", CPU)
    got = clip.image.encode(pictures[:2], FeatureSpec(cls_post=True))
    torch.testing.assert_close(got.cls_post, model.eval().encode_image(pictures[:2]), rtol=0, atol=1e-5)


def test_bilinear_position_resize_is_the_explicit_formula():
    torch.manual_seed(0)
    positions, grid = torch.randn(1 + 16, 3), 7
    wanted = torch.zeros(grid, grid, 3)
    image = positions[1:].view(4, 4, 3)
    for y in range(grid):
        for x in range(grid):
            for row, a in neighbours(y, 4, grid):
                for column, b in neighbours(x, 4, grid):
                    wanted[y, x] += a * b * image[row, column]
    got = resize_positions(positions, grid, "bilinear")
    torch.testing.assert_close(got, torch.cat([positions[:1], wanted.flatten(0, 1)]), rtol=0, atol=1e-6)
    assert resize_positions(positions, 4, "bilinear") is positions


def neighbours(index, native, target):
    """Two source indices and their weights: half-pixel centres, edges repeated, no antialiasing."""
    position = min(max((index + 0.5) * native / target - 0.5, 0), native - 1)
    low = int(position)
    return (low, 1 - (position - low)), (min(low + 1, native - 1), position - low)


@torch.no_grad()
def test_vv_stream_sums_value_value_terms_from_its_first_block(clip, pictures):
    """v = h_start + Σ VV_l(h_{l-1}) over the later blocks, then ln_post and projection; the start block matters."""
    from zsad.clip.attention import value_value

    images, got = pictures[:2], {}
    hidden = main_stream(clip.image, images)
    for start in (0, 1, 3):
        stream = hidden[start]
        for block, h in list(zip(clip.image.blocks, hidden, strict=False))[start:]:
            stream = stream + value_value(block, block.qkv(h)[2])
        got[start] = clip.image.encode(images, FeatureSpec(vv_start=start)).patches
        wanted = clip.image.ln_post(stream)[:, 1:] @ clip.image.projection
        torch.testing.assert_close(got[start], wanted, rtol=0, atol=1e-5)
    assert (got[0] - got[1]).abs().max() > 0.1


def main_stream(tower, images):
    """h_0 … h_L by the textbook formula."""
    x = tower.conv1(images).flatten(2).transpose(1, 2)
    x = torch.cat([tower.class_embedding.expand(len(x), 1, -1), x], dim=1) + tower.positional_embedding
    hidden = [tower.ln_pre(x)]
    for block in tower.blocks:
        q, k, v = block.qkv(hidden[-1])
        attended = ((q @ k.transpose(-1, -2) / 8).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = hidden[-1] + block.out_proj(attended)
        hidden.append(x + block.mlp(block.ln_2(x)))
    return hidden


@pytest.mark.parametrize(
    ("family", "own", "of_learner", "wanted"),
    [
        ("openai", "quickgelu", "gelu", "gelu"),
        ("openai", "quickgelu", "quickgelu", "quickgelu"),
        ("other", "gelu", "quickgelu", "gelu"),
        ("other", "quickgelu", "gelu", "quickgelu"),
    ],
)
def test_activation(backbone, family, own, of_learner, wanted):
    """OpenAI weights take the learner's activation, all others the one they were pretrained with; in both towers."""
    clip = load_clip(backbone(family=family, activation=own), 48, of_learner, "bilinear", CPU)
    assert clip.activation == wanted
    for block in (*clip.image.blocks, *clip.text.blocks):
        assert (type(block.mlp.gelu) is nn.GELU) == (wanted == "gelu")


def test_towers_are_frozen(clip):
    tensors = [clip.image.positional_embedding, clip.image.projection, clip.text.token_embedding, clip.text.projection]
    for block in (*clip.image.blocks, *clip.text.blocks):
        tensors += [block.in_proj_weight, block.in_proj_bias, *block.mlp.parameters(), *block.out_proj.parameters()]
    assert not any(tensor.requires_grad for tensor in tensors)


def test_image_size_must_be_a_multiple_of_the_patch(backbone):
    with pytest.raises(UserError, match=r"image_size 70 must be a multiple of tiny's patch, 8"):
        load_clip(backbone(), 70, "quickgelu", "bilinear", CPU)


@pytest.mark.parametrize(
    "changes",
    [
        {"vision_cfg": {**VISION, "pool_type": "avg"}},
        {"vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 2}},
        {"vision_cfg": {**VISION, "no_ln_pre": True}},
        {"vision_cfg": {**VISION, "ls_init_value": 0.1}},
        {"vision_cfg": {**VISION, "final_ln_after_pool": True}},
        {"text_cfg": {**TEXT, "proj_bias": True}},
    ],
)
def test_unsupported_architectures_are_refused(backbone, changes):
    with pytest.raises(UserError, match="not a plain CLIP ViT"):
        load_clip(backbone(**changes), 48, "quickgelu", "bilinear", CPU)


@pytest.mark.parametrize(
    "name",
    ["no-such", "RN50", "coca_ViT-B-32", "ViT-B-16-SigLIP", "EVA02-B-16", "roberta-ViT-B-32", "ViT-L-14-worldwide"],
)
def test_foreign_architectures_are_refused_before_any_download(tmp_path, name):
    """Another tokenizer, text tower or head: the prompts would be encoded wrongly without any error."""
    with pytest.raises(UserError, match=rf"params.yaml: backbones: '{name}'.*choose"):
        weights.prepare(BackboneParams(name=name, pretrained="openai", image_size=224), tmp_path / "out")
    assert not (tmp_path / "out").exists()
