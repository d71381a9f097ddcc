"""Captions as people write them: true of what a thing is, loose about its state."""

from collections.abc import Sequence
from typing import NamedTuple

from zsad_synthetic.pretraining.world.captions import wild_noun
from zsad_synthetic.pretraining.world.fields import Rng
from zsad_synthetic.pretraining.world.looks import WORDS
from zsad_synthetic.pretraining.world.vocabulary import (
    ALIASES,
    ANOMALOUS_STATES,
    DEFECT_WORDS,
    NORMAL_STATES,
    TEMPLATES,
)

_LOOK_TEMPLATES = {look: [t for t in TEMPLATES if f" {look} " in t] for look in WORDS}
_NEUTRAL_TEMPLATES = [t for t in TEMPLATES if not any(t in own for own in _LOOK_TEMPLATES.values())]
_SPOKEN_STATES = [s for s in NORMAL_STATES if s != "{}"]


class Remark(NamedTuple):
    """What somebody says of a picture; `None` where it leaves something open."""

    text: str
    anomalous: bool | None
    kind: str | None
    family: str | None
    look: str | None


def remark(rng: Rng, kind: str, family: str | None, called_anomalous: bool, looks: Sequence[str]) -> Remark:
    """A caption as people write them: half say nothing of the state, some name the defect or how the picture looks.

    A state word says what the picture is called, which need not be what it shows. The rest is true.
    """
    told_kind, noun = None, "object"
    draw = rng.random()
    if draw < 0.6:
        told_kind, noun = kind, str(rng.choice(ALIASES[kind]))
    elif draw > 0.85:
        noun = wild_noun(rng)
    told_family, told_state, state = None, None, "{}"
    draw = rng.random()
    if family is not None and draw < 0.15:
        told_family, state = family, f"{{}} with {rng.choice(DEFECT_WORDS[family])}"
    elif draw < 0.55:
        told_state, state = called_anomalous, str(rng.choice(ANOMALOUS_STATES if called_anomalous else _SPOKEN_STATES))
    look = str(rng.choice(looks)) if looks and rng.random() < 0.35 else None
    templates = _NEUTRAL_TEMPLATES if look is None else _LOOK_TEMPLATES[look]
    return Remark(str(rng.choice(templates)).format(state.format(noun)), told_state, told_kind, told_family, look)
