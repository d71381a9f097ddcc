"""An ensemble: a block of `ensembles` with its members resolved. It is the mean of their predictions, and no model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from zsad.common.errors import UserError
from zsad.config.configuration import Configuration
from zsad.config.schema import Protocol
from zsad.config.validation import names

if TYPE_CHECKING:
    from zsad.config.params import Params


@dataclass(frozen=True)
class Ensemble:
    """A resolved `ensembles.<key>` block; weights: as given, one a member."""

    key: str
    members: tuple[Configuration, ...]
    weights: tuple[float, ...]
    method: ClassVar[str] = "ensemble"  # of its row, where a configuration names its method

    @property
    def protocol(self) -> Protocol:
        """`paper` where one member follows it."""
        return "paper" if any(member.protocol == "paper" for member in self.members) else "strict"

    @property
    def shots(self) -> int:
        """The most normal pictures of a category that one of its members has seen."""
        return max(member.shots for member in self.members)

    @property
    def is_imported(self) -> bool:
        """Whether official weights stand in for training of one member at least."""
        return any(member.is_imported for member in self.members)

    @property
    def described(self) -> str:
        """What tables say of it: `mean of cops, clip_zero`, or `mean of 2 × cops, 1 × clip_zero`."""
        keys = [member.key for member in self.members]
        if len(set(self.weights)) > 1:
            keys = [f"{weight:g} × {key}" for weight, key in zip(self.weights, keys, strict=True)]
        return f"mean of {', '.join(keys)}"


Row = Configuration | Ensemble
"""What has a row in the tables."""


def members_of(row: Row) -> tuple[Configuration, ...]:
    """The configurations whose models stand behind a row."""
    return row.members if isinstance(row, Ensemble) else (row,)


def check_ensembles(params: "Params", shown: str) -> None:
    """Members are configurations, and no ensemble is one. `shown`: the file, for messages."""
    for key, block in params.ensembles.items():
        where = f"{shown}: ensembles.{key}"
        for member in block.of:
            if member in params.ensembles:
                raise UserError(f"{where}.of: {member} is an ensemble itself; name its members, with their weights")
            if member not in params.configurations:
                known = names(params.configurations)
                raise UserError(
                    f"{where}.of: {member!r} is under none of `learners`, `few_shot` and `few_shot_of`; there are:"
                    f" {known}"
                )
