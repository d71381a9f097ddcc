"""Going on from the middle of a tower: the entry is a feature, and the rest gives what the whole tower gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from zsad.clip.adaptation import computing_in, run_blocks
from zsad.clip.attention import value_value
from zsad.clip.backbone import FeatureSpec, ImageFeatures, encode_images
from zsad.common.errors import UserError


@pytest.mark.parametrize("entry", [0, 1, 3, 4])
@torch.no_grad()
def test_the_other_blocks_give_what_the_tower_gives(clip, pictures, entry):
    features = clip.image.encode(pictures[:2], FeatureSpec(entry=entry, layers=(1, 2, 3, 4), cls_post=True))
    states = list(run_blocks(clip.image.blocks, features.entry, entry))
    assert len(states) == 4 - entry
    for layer, state in enumerate(states, start=entry + 1):
        torch.testing.assert_close(state[:, 1:], features.layer(layer), rtol=0, atol=1e-5)
    last = states[-1] if states else features.entry
    pooled = clip.image.ln_post(last[:, 0]) @ clip.image.projection
    torch.testing.assert_close(pooled, features.cls_post, rtol=0, atol=1e-5)


def test_blocks_that_nobody_reads_do_not_run(clip, pictures):
    """The tower here has no other block to run."""
    short = replace(clip.image, blocks=(clip.image.blocks[0], None, None, None))
    features = short.encode(pictures[:2], FeatureSpec(entry=1))
    assert features.tensors.keys() == {"entry"}
    assert torch.equal(features.entry, clip.image.encode(pictures[:2], FeatureSpec(entry=1, cls=True)).entry)
    assert [FeatureSpec(entry=1, **more).depth(4) for more in ({}, {"layers": (3,)}, {"cls_post": True})] == [1, 3, 4]
    assert FeatureSpec(windows=(2,)).depth(4) == 0


@torch.no_grad()
def test_changes_on_entry_and_on_exit_reach_the_blocks_behind(clip, pictures):
    x = clip.image.encode(pictures[:2], FeatureSpec(entry=1)).entry
    blocks, seen = clip.image.blocks, []

    def before(index, tokens):
        seen.append(index)
        return torch.cat([tokens, tokens[:, :3]], dim=1) if index == 1 else tokens

    states = list(run_blocks(blocks, x, 1, before=before, after=lambda index, tokens: 2 * tokens))
    assert seen == [1, 2, 3]
    longer = torch.cat([x, x[:, :3]], dim=1)
    (first,) = run_blocks(blocks[:2], longer, 1)
    (second,) = run_blocks(blocks[:3], 2 * first, 2)
    assert torch.equal(states[0], 2 * first)
    assert torch.equal(states[1], 2 * second)


@torch.no_grad()
def test_attention_can_be_another(clip, pictures):
    x = clip.image.encode(pictures[:2], FeatureSpec(entry=3)).entry
    block = clip.image.blocks[3]
    (got,) = run_blocks(clip.image.blocks, x, 3, attention=lambda index, block, x: value_value(block, block.qkv(x)[2]))
    assert torch.equal(got, block.finish(x, value_value(block, block.qkv(x)[2])))


def test_gradients_pass_through_frozen_blocks(clip, pictures):
    x = clip.image.encode(pictures[:1], FeatureSpec(entry=2)).entry
    added = torch.zeros(128, requires_grad=True)
    *_, state = run_blocks(clip.image.blocks, x, 2, before=lambda index, tokens: tokens + added)
    state[:, 1:].square().sum().backward()
    assert added.grad.abs().min() > 0
    assert clip.image.blocks[2].in_proj_weight.grad is None


@torch.no_grad()
def test_going_on_in_the_precision_of_the_features(clip, pictures):
    """The second half of the tower in bf16 gives what the whole tower in bf16 gives."""
    spec, images = FeatureSpec(entry=2, layers=(4,)), pictures[:2].numpy()
    half, full = (encode_images(clip, np.asarray(images), spec, precision) for precision in ("bf16", "fp32"))
    assert (half.precision, full.precision) == ("bf16", "fp32")
    assert half.select([1]).precision == "bf16"
    assert half.entry.dtype == torch.float32
    with computing_in(half.precision, clip.device):
        *_, state = run_blocks(clip.image.blocks, half.entry, 2)
    assert torch.equal(state[:, 1:].float(), half.layer(4))
    assert (half.layer(4) - full.layer(4)).abs().max() > 1e-3


@torch.no_grad()
def test_changes_in_the_text_tower(clip):
    """On exit of all blocks but the last, at every position up to the longest EOT."""
    embeddings, eot = clip.text.embed_strings(["a broken cable.", "cable"])
    assert eot.tolist() == [5, 2]
    assert embeddings.shape == (2, 6, 128)
    seen = []

    def after(index, tokens):
        seen.append((index, tokens.shape[1]))
        return tokens + 0.5

    got = clip.text.hidden(embeddings, eot, after=after)
    assert seen == [(0, 6), (1, 6), (2, 6)]
    mask = torch.full((6, 6), float("-inf")).triu(1)
    x = embeddings + clip.text.positional_embedding[:6]
    for index, block in enumerate(clip.text.blocks):
        q, k, v = block.qkv(x)
        attended = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = block.finish(x, block.project(attended)) + (0.5 if index < 3 else 0)
    torch.testing.assert_close(got, torch.stack([x[0, 5], x[1, 2]]), rtol=0, atol=1e-5)


def test_features_are_in_full_precision_unless_said(clip):
    assert ImageFeatures({}).precision == "fp32"


def test_matrices_rounded_once_give_what_autocast_gives(clip, pictures):
    spec = FeatureSpec(cls=True, cls_post=True, vv_start=1, tokens=True, layers=(2,), windows=(8,))
    got = encode_images(clip, np.asarray(pictures[:2]), spec, "bf16")
    with computing_in("bf16", clip.device):
        wanted = clip.image.encode(pictures[:2], spec)
    for name, tensor in wanted.tensors.items():
        assert torch.equal(got.tensors[name], tensor), name
    assert clip.tower("bf16") is clip.tower("bf16")
    assert clip.tower("bf16").blocks[0].mlp.c_fc.weight.dtype == torch.bfloat16
    assert clip.tower("fp32") is clip.image
    assert clip.image.blocks[0].mlp.c_fc.weight.dtype == torch.float32


def test_half_precision_of_gpus_is_refused_on_a_cpu(clip, pictures):
    with pytest.raises(UserError, match="precision fp16: wants a CUDA GPU; on a CPU use bf16 or fp32"):
        encode_images(clip, np.asarray(pictures[:1]), FeatureSpec(cls=True), "fp16")
