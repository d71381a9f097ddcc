"""The pretraining model: open_clip's modules, read out the way the learners read them.

Shape suffixes: B images or texts, L tokens (class token first), C channels = joint width, H heads, D = C / H.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LATE_START = 5 / 24
"""Depth at which AnomalyCLIP and FAPrompt start their V-V stream, as a share of all blocks."""


class ImageFeatures(NamedTuple):
    """Joint-space features of one batch, none of them normalised."""

    cls: Tensor
    """[B, C] class token through `ln_post` and the projection."""
    raw_cls: Tensor
    """[B, C] class token through the projection alone."""
    patches: Tensor
    """[S, B, N, C] patch tokens: V-V stream from the first block, V-V stream from a late block, last block."""
    middle: Tensor
    """[B, N, W] patch tokens after half of the blocks, in the width of the tower."""
    last_cls: Tensor
    """[B, W] class token after the last block, in the width of the tower."""


def build(config: dict[str, Any], vocabulary: int) -> open_clip.CLIP:
    """The open_clip model of `config` with a compact token table of `vocabulary` rows."""
    model_cfg = copy.deepcopy(config["model_cfg"])
    model_cfg["text_cfg"]["vocab_size"] = vocabulary
    return open_clip.CLIP(**model_cfg)


def normaliser(config: dict[str, Any]) -> Callable[[Any], Tensor]:
    """What turns bytes [B, H, W, 3], array or tensor, into the image tower's input [B, 3, H, W]."""
    mean, std = (torch.tensor(config["preprocess_cfg"][name]).view(3, 1, 1) * 255 for name in ("mean", "std"))
    return lambda pixels_BHWC: (torch.as_tensor(pixels_BHWC).permute(0, 3, 1, 2).float() - mean) / std


@torch.no_grad()
def initialise(model: open_clip.CLIP) -> None:
    """Start the image tower where attention is local: sinusoidal positions, keys like queries.

    A tower that starts at random spends most of a short pretraining on finding out which patches are neighbours.
    """
    tower = model.visual
    position_LC = tower.positional_embedding
    position_LC.zero_()
    side = round((len(position_LC) - 1) ** 0.5)
    frequency_F = torch.pi * 2 ** torch.linspace(-1, 2.5, position_LC.shape[1] // 4)
    angle_LF = torch.linspace(-1, 1, side)[:, None] * frequency_F
    wave_LF = torch.cat([angle_LF.sin(), angle_LF.cos()], dim=1) * 0.5
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    position_LC[1:] = torch.cat([wave_LF[rows.flatten()], wave_LF[columns.flatten()]], dim=1)
    for block in tower.transformer.resblocks:
        queries, keys, _ = block.attn.in_proj_weight.chunk(3)
        keys.copy_(queries / 2)


def encode_image(model: open_clip.CLIP, pixels_BCHW: Tensor) -> ImageFeatures:
    """All the features that the losses look at, from one pass over normalised pixels."""
    tower = model.visual
    h_BLC = _embed_patches(tower, pixels_BCHW)
    blocks = tower.transformer.resblocks
    late = round(LATE_START * len(blocks))
    first_BLC = h_BLC
    for depth, block in enumerate(blocks):
        if depth == late:
            late_BLC = h_BLC
        h_BLC, values_BLC = _block(block, h_BLC)
        first_BLC = first_BLC + values_BLC
        if depth >= late:
            late_BLC = late_BLC + values_BLC
        if depth + 1 == len(blocks) // 2:
            middle_BNW = h_BLC[:, 1:]
    raw_cls_BC = h_BLC[:, 0] @ tower.proj
    streams_SBLC = tower.ln_post(torch.stack([first_BLC, late_BLC, h_BLC])) @ tower.proj
    return ImageFeatures(streams_SBLC[2, :, 0], raw_cls_BC, streams_SBLC[:, :, 1:], middle_BNW, h_BLC[:, 0])


def encode_text(model: open_clip.CLIP, rows_BL: Tensor, ends_B: Tensor) -> Tensor:
    """Unnormalised text features [B, C]; `rows` index the compact table, `ends` are the end-of-text positions.

    The text tower is causal, so tokens after the end may be cut off without changing anything.
    """
    length = rows_BL.shape[1]
    x_BLC = model.token_embedding(rows_BL) + model.positional_embedding[:length]
    for block in model.transformer.resblocks:
        x_BLC = x_BLC + _attend(block.attn, block.ln_1(x_BLC), causal=True)[0]
        x_BLC = x_BLC + block.mlp(block.ln_2(x_BLC))
    x_BC = x_BLC[torch.arange(len(ends_B)), ends_B]
    return model.ln_final(x_BC) @ model.text_projection


def _embed_patches(tower: open_clip.transformer.VisionTransformer, pixels_BCHW: Tensor) -> Tensor:
    x_BLC = tower.conv1(pixels_BCHW).flatten(2).transpose(1, 2)
    cls_BLC = tower.class_embedding.expand(len(x_BLC), 1, -1).to(x_BLC.dtype)
    return tower.ln_pre(torch.cat([cls_BLC, x_BLC], dim=1) + _positions(tower, x_BLC.shape[1]))


def _positions(tower: open_clip.transformer.VisionTransformer, patches: int) -> Tensor:
    """Positional embeddings [1 + patches, C], resampled for pictures of another size."""
    position_LC = tower.positional_embedding
    if len(position_LC) == 1 + patches:
        return position_LC
    here, there = (round(n**0.5) for n in (len(position_LC) - 1, patches))
    grid_1CHW = position_LC[1:].T.unflatten(1, (here, here))[None]
    resampled_1CHW = F.interpolate(grid_1CHW, (there, there), mode="bilinear", antialias=True)
    return torch.cat([position_LC[:1], resampled_1CHW[0].flatten(1).T])


def _block(block: open_clip.transformer.ResidualAttentionBlock, h_BLC: Tensor) -> tuple[Tensor, Tensor]:
    """Next state of the main stream, and what this block adds to a V-V stream."""
    attended_BLC, v_BHLD = _attend(block.attn, block.ln_1(h_BLC))
    values_BLC = _merge(block.attn, _mix(v_BHLD, v_BHLD, v_BHLD))
    h_BLC = h_BLC + attended_BLC
    return h_BLC + block.mlp(block.ln_2(h_BLC)), values_BLC


def _attend(attn: nn.MultiheadAttention, x_BLC: Tensor, causal: bool = False) -> tuple[Tensor, Tensor]:
    qkv_BLC = F.linear(x_BLC, attn.in_proj_weight, attn.in_proj_bias)
    q, k, v = (t.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for t in qkv_BLC.chunk(3, dim=-1))
    return _merge(attn, _mix(q, k, v, causal)), v


def _mix(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor, causal: bool = False) -> Tensor:
    """Plain attention: at these sizes four times faster in training on a CPU than the fused kernel's backward pass."""
    logits_BHLL = (q_BHLD * q_BHLD.shape[-1] ** -0.5) @ k_BHLD.transpose(-2, -1)
    if causal:
        ahead_LL = torch.ones(logits_BHLL.shape[-2:], dtype=torch.bool).triu(1)
        logits_BHLL = logits_BHLL.masked_fill(ahead_LL, -torch.inf)
    return logits_BHLL.softmax(-1, dtype=v_BHLD.dtype) @ v_BHLD


def _merge(attn: nn.MultiheadAttention, heads_BHLD: Tensor) -> Tensor:
    return attn.out_proj(heads_BHLD.transpose(1, 2).flatten(2))
