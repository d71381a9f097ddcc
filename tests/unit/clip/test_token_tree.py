"""A tree of prompts gives what the prompts give one by one."""

import torch

from zsad.clip.text import DeepTokens
from zsad.clip.token_tree import encode_tree, grow_tree

A, B, C, D = 320, 321, 322, 323
SOT, EOT = 49406, 49407
PROMPTS = [  # −1 and −2 stand for learned vectors
    [SOT, -1, A, B, EOT],
    [SOT, -1, A, B, C, EOT],
    [SOT, -1, D, A, B, EOT],
    [SOT, -1, -2, A, EOT],
    [SOT, -1, A, EOT],
]
CPU = torch.device("cpu")


def one_by_one(text, learned_RC):
    """[S, D] for one set of learned vectors."""
    features = []
    for prompt in PROMPTS:
        rows = [learned_RC[-1 - symbol] if symbol < 0 else text.token_embedding[symbol] for symbol in prompt]
        features.append(text.encode(torch.stack(rows)[None])[0])
    return torch.stack(features)


def test_the_tree_by_hand():
    tree = grow_tree([[5, 6, 7], [5, 6, 8], [5, 9]], CPU)
    assert tree.symbols.tolist() == [5, 6, 7, 8, 9]
    assert tree.depths.tolist() == [0, 1, 2, 2, 1]
    assert tree.ends.tolist() == [2, 3, 4]
    assert tree.visible.int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 0, 0, 0, 1],
    ]


def test_features_and_gradients_equal_separate_prompts(clip):
    learned = (0.1 * torch.randn(3, 2, 128, generator=torch.Generator().manual_seed(0))).requires_grad_()
    weights = torch.randn(3, len(PROMPTS), 128, generator=torch.Generator().manual_seed(1))
    tree = grow_tree(PROMPTS, CPU)
    assert len(tree.symbols) < sum(map(len, PROMPTS)) - 8
    together = encode_tree(clip.text, tree, learned)
    apart = torch.stack([one_by_one(clip.text, one) for one in learned])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)
    got, wanted = (torch.autograd.grad((features * weights).sum(), learned)[0] for features in (together, apart))
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_deep_vectors_of_each_set_overwrite_their_positions(clip):
    deep = [0.1 * torch.randn(3, 2, 128, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    rows = [[SOT, A, B, C, EOT], [SOT, A, B, EOT], [SOT, D, EOT]]
    got = encode_tree(clip.text, grow_tree(rows, CPU), deep[0], deep)
    for number, features in enumerate(got):
        own = DeepTokens([tokens[number] for tokens in deep], fp16=False)
        wanted = [clip.text.encode(clip.text.embed(row)[None], deep=own)[0] for row in rows]
        torch.testing.assert_close(features, torch.stack(wanted), rtol=0, atol=1e-5)
    assert (got[0] - got[1]).abs().max() > 1e-3
