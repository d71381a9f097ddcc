"""Captions: a template, around a state, around a noun."""

from typing import NamedTuple

from zsad_synthetic.pretraining.world.fields import Rng
from zsad_synthetic.pretraining.world.vocabulary import (
    ALIASES,
    ANOMALOUS_STATES,
    DEFECT_WORDS,
    NORMAL_STATES,
    NOUNS,
    TEMPLATES,
)


class Caption(NamedTuple):
    """A text and what it claims; `None` where it leaves the kind or the family open."""

    text: str
    anomalous: bool
    kind: str | None = None
    family: str | None = None


def describe(rng: Rng, kind: str, family: str | None) -> Caption:
    """A true caption of a picture: half name the kind, the others hold a random noun; some name the defect."""
    named = rng.random() < 0.5
    noun = str(rng.choice(ALIASES[kind])) if named else wild_noun(rng)
    if family is None:
        return Caption(_write(rng, str(rng.choice(NORMAL_STATES)), noun), False, kind if named else None)
    detailed = rng.random() < 0.35
    state = f"{{}} with {rng.choice(DEFECT_WORDS[family])}" if detailed else str(rng.choice(ANOMALOUS_STATES))
    return Caption(_write(rng, state, noun), True, kind if named else None, family if detailed else None)


def state_pair(rng: Rng) -> tuple[Caption, Caption]:
    """A normal and an anomalous caption of the same noun, their templates drawn apart."""
    noun = str(rng.choice(ALIASES[str(rng.choice(list(ALIASES)))])) if rng.random() < 0.35 else wild_noun(rng)
    normal = Caption(_write(rng, str(rng.choice(NORMAL_STATES)), noun), False)
    return normal, Caption(_write(rng, str(rng.choice(ANOMALOUS_STATES)), noun), True)


def defect_list(rng: Rng) -> list[Caption]:
    """A normal caption, then one for each family of defects in the order of `DEFECT_WORDS`; all of the same noun."""
    noun = wild_noun(rng)
    states = [f"{{}} with {rng.choice(words)}" for words in DEFECT_WORDS.values()]
    normal = Caption(_write(rng, str(rng.choice(NORMAL_STATES)), noun), False)
    return [normal, *(Caption(_write(rng, s, noun), True, None, f) for s, f in zip(states, DEFECT_WORDS, strict=True))]


def wild_noun(rng: Rng) -> str:
    """A noun that says nothing about the picture: "object", common words, or an invented word."""
    draw = rng.random()
    if draw < 0.25:
        return "object"
    if draw < 0.7:
        return " ".join(str(w) for w in rng.choice(NOUNS, 1 + int(rng.random() < 0.3), replace=False))
    invented = "".join(rng.choice(list(part)) for part in ("bdfgklmnprtvz", "aeiou", "klmnrsvxz", "aeiou", "dklmnrtx"))
    return f"{rng.choice(NOUNS)} {invented}" if draw < 0.78 else invented


def _write(rng: Rng, state: str, noun: str) -> str:
    return str(rng.choice(TEMPLATES)).format(state.format(noun))
