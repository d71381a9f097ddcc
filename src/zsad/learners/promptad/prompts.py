"""PromptAD's prompts of one category: learned contexts, words, and the features of all prompts in one batch.

A normal prompt is SOT, context, class name; an abnormal one has after the same context either a phrase that names a
defect (manual) or a learned suffix and the class name (learned). Shapes: P contexts of L tokens, Q suffixes of M, W
phrases, C text width, D joint width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.clip.text import TextTower
from zsad.clip.token_tree import TokenTree, encode_tree, grow_tree
from zsad.learners.few_shot import check_length


class Contexts(nn.Module):
    """The learned tokens of one task: contexts [P, L, C] and suffixes [Q, M, C], from N(0, 0.02²)."""

    def __init__(self, normal: tuple[int, int], abnormal: tuple[int, int], width: int) -> None:
        super().__init__()
        self.normal = nn.Parameter(0.02 * torch.randn(*normal, width))
        self.abnormal = nn.Parameter(0.02 * torch.randn(*abnormal, width))

    def vectors(self) -> Tensor:
        """[P, L + Q·M, C]: each context with all suffixes behind it."""
        suffixes = self.abnormal.flatten(0, 1).expand(len(self.normal), -1, -1)
        return torch.cat([self.normal, suffixes], dim=1)


@dataclass(frozen=True)
class TextFeatures:
    """Features of a task's prompts, not normalised: normal [P, D], manual [P·W, D], learned [P·Q, D]."""

    normal: Tensor
    manual: Tensor
    learned: Tensor

    @property
    def abnormal(self) -> Tensor:
        """Manual and learned [P·(W + Q), D]."""
        return torch.cat([self.manual, self.learned])

    def prototypes(self) -> Tensor:
        """Unit vectors [2, D]: mean normal, mean abnormal feature."""
        return F.normalize(torch.stack([self.normal.mean(0), self.abnormal.mean(0)]), dim=-1)


def prompt_tree(
    text: TextTower, name: str, states: Sequence[str], context: int, suffixes: tuple[int, int]
) -> TokenTree:
    """Prompts of class `name` for contexts of `context` tokens and `suffixes` = (Q, M): normal, manual, learned.

    states: abnormal phrases with a place for the class name.
    """
    words = [text.ids(f"{state.format(name)}.") for state in ("{}", *states)]
    sot, named = words[0][:1], words[0][1:]
    slots = [-1 - i for i in range(context + suffixes[0] * suffixes[1])]
    shared, rest = slots[:context], slots[context:]
    learned = [rest[q * suffixes[1] : (q + 1) * suffixes[1]] for q in range(suffixes[0])]
    prompts = [sot + shared + row[1:] for row in words] + [sot + shared + suffix + named for suffix in learned]
    check_length(name, max(map(len, prompts)), text)
    return grow_tree(prompts, text.token_embedding.device)


def encode_prompts(text: TextTower, tasks: Sequence[Contexts], tree: TokenTree) -> list[TextFeatures]:
    """Features of each task's prompts; all tasks have suffixes of one number and length."""
    features = encode_tree(text, tree, torch.cat([task.vectors() for task in tasks]))
    parts = features.split([len(task.normal) for task in tasks])
    learned = len(tasks[0].abnormal)
    return [
        TextFeatures(part[:, 0], part[:, 1:-learned].flatten(0, 1), part[:, -learned:].flatten(0, 1)) for part in parts
    ]
