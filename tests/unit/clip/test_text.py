"""The text tower: truncation, shared prefixes and deep tokens against the plain 77-position tower."""

import pytest
import torch

from zsad.clip.text import DeepTokens
from zsad.common.errors import UserError

EXACT = {"rtol": 0, "atol": 1e-6}


def unit(x):
    return torch.nn.functional.normalize(x, dim=-1)


def full_length(model, embeddings_S77C, eot, deep=None, fp16=True):
    """The official codes' way: all 77 positions, additive mask, positions 1..m overwritten on entry of blocks 1..n."""
    x = embeddings_S77C + model.positional_embedding
    for i, block in enumerate(model.transformer.resblocks):
        if deep is not None and 1 <= i <= len(deep):
            tokens = deep[i - 1].half().float() if fp16 else deep[i - 1]
            x = x.clone()
            x[:, 1 : 1 + len(tokens)] = tokens
        x = block(x, attn_mask=model.attn_mask)
    return model.ln_final(x)[torch.arange(len(x)), eot] @ model.text_projection


@pytest.fixture
def prompts(clip):
    """Two prompts of 16 and 17 random embeddings, as list and padded to 77 positions."""
    torch.manual_seed(0)
    rows = [0.2 * torch.randn(16, 128), 0.2 * torch.randn(17, 128)]
    padded = torch.stack([torch.cat([row, clip.text.embed([0] * (77 - len(row)))]) for row in rows])
    return rows, padded


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("object.", [49406, 14115, 269, 49407]),
        ("damaged object.", [49406, 13568, 14115, 269, 49407]),
        (".", [49406, 269, 49407]),
        ("X X X .", [49406, 343, 343, 343, 269, 49407]),
    ],
)
def test_token_ids(clip, text, ids):
    assert clip.text.ids(text) == ids


@torch.no_grad()
def test_strings_are_encoded_as_open_clip_does(clip, open_clip_model):
    from open_clip import tokenize

    texts = ["a photo of a flawless metal nut.", "damaged", "a close-up photo of the capsule for anomaly detection."]
    wanted = open_clip_model.encode_text(tokenize(texts))
    torch.testing.assert_close(unit(clip.text.encode_strings(texts)), unit(wanted), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("deep", [False, True])
def test_truncated_text_equals_full_length(clip, open_clip_model, prompts, deep):
    rows, padded = prompts
    tokens = [0.2 * torch.randn(4, 128) for _ in range(3)] if deep else None
    eot = torch.tensor([15, 16])
    wanted = unit(full_length(open_clip_model, padded, eot, tokens))
    sets = DeepTokens(tokens) if tokens else None
    torch.testing.assert_close(unit(clip.text.encode(padded[:, :17], eot, sets)), wanted, **EXACT)
    torch.testing.assert_close(unit(clip.text.encode(rows[0][None], deep=sets)), wanted[:1], **EXACT)


@torch.no_grad()
def test_shared_prefix_equals_separate_sequences(clip):
    """2 prefixes of 7 tokens, then 6 sequences of 6, then 2 ends each of 4: as 12 whole sequences of 17."""
    torch.manual_seed(1)
    first, middle, last = (0.2 * torch.randn(n, t, 128) for n, t in ((2, 7), (6, 6), (12, 4)))
    deep = DeepTokens([0.2 * torch.randn(4, 128) for _ in range(3)])
    of_middle, of_last = torch.tensor([0, 1] * 3), torch.arange(6).repeat_interleave(2)
    prefix = clip.text.prefix(first, deep=deep)
    prefix = clip.text.prefix(middle, prefix.repeat(3))
    got = clip.text.encode(last, past=prefix.repeat(each=2))
    whole = torch.cat([first[of_middle][of_last], middle[of_last], last], dim=1)
    assert prefix.length == 13
    torch.testing.assert_close(unit(got), unit(clip.text.encode(whole, deep=deep)), **EXACT)


@torch.no_grad()
def test_deep_tokens_overwrite_their_positions(clip, prompts):
    """Positions 1..m of the context reach later blocks through block 0 only; every set that enters is read."""
    rows, _ = prompts
    tokens = [0.2 * torch.randn(4, 128) for _ in range(3)]
    plain = unit(clip.text.encode(rows[0][None], deep=DeepTokens(tokens)))
    for i in range(3):
        changed = [t + (0.2 if j == i else 0) * torch.randn(4, 128) for j, t in enumerate(tokens)]
        assert (unit(clip.text.encode(rows[0][None], deep=DeepTokens(changed))) - plain).abs().max() > 1e-4
    x = torch.randn(2, 9, 128)
    deep = DeepTokens(tokens, fp16=False)
    assert deep.insert(x, 0) is x
    assert deep.insert(x, 4) is x
    inserted = deep.insert(x, 2)
    assert torch.equal(inserted[:, 1:5], tokens[1].expand(2, -1, -1))
    assert torch.equal(inserted[:, [0, 5, 6, 7, 8]], x[:, [0, 5, 6, 7, 8]])


@torch.no_grad()
def test_half_precision_rounding_is_small_but_there(clip, prompts):
    rows, _ = prompts
    tokens = [0.2 * torch.randn(4, 128) for _ in range(3)]
    features = [unit(clip.text.encode(rows[0][None], deep=DeepTokens(tokens, fp16))) for fp16 in (True, False)]
    assert 1e-6 < (features[0] - features[1]).abs().max() < 1e-3


def test_gradients_reach_every_segment(clip):
    parts = [torch.full((1, t, 128), 0.1).add_(torch.randn(1, t, 128) * 0.1).requires_grad_() for t in (7, 6, 4)]
    prefix = None
    for part in parts[:-1]:
        prefix = clip.text.prefix(part, prefix)
    clip.text.encode(parts[-1], past=prefix).sum().backward()
    assert all(part.grad.abs().max() > 0 for part in parts)


def test_a_string_is_never_cut_short(clip):
    fits = "nut " * 75
    assert clip.text.encode_strings([fits]).shape == (1, 128)
    with pytest.raises(UserError, match="prompt 'nut nut .*: longer than the 77 tokens that the text tower takes"):
        clip.text.encode_strings(["nut", fits + "nut"])
