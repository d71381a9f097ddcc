"""The contract of a few-shot method: adapted to one category of a target from k of its normal pictures.

One instance is one category under one seed: its state dict is what the checkpoint holds of that category. Scoring is
that of every learner. Shapes: k shots, S image side in pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.clip.text import TextTower
from zsad.common.errors import UserError
from zsad.config.schema import Protocol
from zsad.learners.base import Learner


@dataclass(frozen=True)
class Support:
    """The normal pictures of one category.

    pictures [k, 3, S, S]: RGB in [0, 1], resized but not normalised, on the CPU; category: its key in the dataset;
    name: its prompt name, which others may have as well;
    encode: any number of such pictures → their frozen features by `support_spec`, without gradients, on the device;
    seed: for generators of the method's own (torch's global one is seeded before a learner is built).
    """

    pictures: Tensor
    category: str
    name: str
    encode: Callable[[Tensor], ImageFeatures]
    seed: int


def check_length(name: str, tokens: int, text: TextTower) -> None:
    """UserError when a prompt of class `name` has more tokens than the text tower takes."""
    places = len(text.positional_embedding)
    if tokens > places:
        raise UserError(
            f"class name {name!r} makes a prompt of {tokens} tokens, of {places} at most; give the category a shorter"
            " name under `classes` of its dataset, or the configuration fewer learned tokens"
        )


class FewShotLearner(Learner):
    """A method that `few_shot:` configurations name; `shots` fixes the shapes of what it remembers of the support."""

    few_shot: ClassVar[bool] = True

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict", shots: int = 1) -> None:
        super().__init__(config, clip, protocol)
        self.shots = shots

    @property
    def support_spec(self) -> FeatureSpec:
        """What `adapt` reads of the image tower: that which scoring reads, unless the method says otherwise."""
        return self.spec

    def adapt(self, support: Support) -> Iterator[dict[str, float]]:
        """Learn from the support; yields the terms of the loss after each epoch (nothing where nothing is trained)."""
        raise NotImplementedError
