"""Back to an earlier champion, noted like a promotion. Not past the gate: it must work when numbers are bad.

Without a version it undoes the latest promotion, and done twice it changes nothing: a command that is repeated must not
bring an ever older model to where it is used. Going further back takes the number of a version that was champion.
"""

from collections.abc import Sequence
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.tracking.addresses import resolve
from zsad.tracking.connection import Store, open_store
from zsad.tracking.promotions import PROMOTIONS, ROLLBACK, Promotion, history, record, tags_of
from zsad.tracking.register import restore
from zsad.tracking.versions import CHAMPION, by_number, versions_of


def roll_back(name: str, number: str = "") -> str:
    """Let `champion` be the one before the latest promotion, or version `number`; returns what was done.

    UserError when there was no other champion, or its checkpoint is gone.
    """
    past = history(name)
    if len(past) < 2:
        raise UserError(f"{name}: {PROMOTIONS} knows no champion before this one; nothing to go back to")
    undone = not number and ROLLBACK in past[-1]
    entry = _named(name, past, number) if number else past[-1 if undone else -2]
    wanted = Promotion(name, tags_of(entry))
    record(name, wanted.tags, _checkpoint(wanted), instead_of=past[-1]["checkpoint_sha256"])
    with open_store() as store:
        old = store.client.get_registered_model(name).aliases.get(CHAMPION)
        restore(store, wanted)
        new = store.client.get_registered_model(name).aliases[CHAMPION]
    if str(old) == str(new):
        further = "; the latest promotion was undone before, --rollback VERSION goes further back" if undone else ""
        return f"{name}: version {new} is champion already{further}"
    return f"{name}: champion is again version {new} (was {old or 'none'})"


def _named(name: str, past: Sequence[dict[str, str]], number: str) -> dict[str, str]:
    """The entry of a version that was champion; any other would come past the gate."""
    with open_store() as store:
        sha256 = by_number(store, name, number).tags.get("checkpoint_sha256")
        champions = {entry["checkpoint_sha256"]: entry for entry in past}
        if sha256 in champions:
            return champions[sha256]
        there = [v.version for v in versions_of(store, name)[::-1] if v.tags["checkpoint_sha256"] in champions]
    raise UserError(f"{name}: version {number} was never champion; these were: {', '.join(map(str, there)) or 'none'}")


def _checkpoint(wanted: Promotion) -> Path:
    """The checkpoint of an earlier champion: the one kept here, else that of a version."""
    if wanted.file.is_file() and file_sha256(wanted.file) == wanted.sha256:
        return wanted.file
    with open_store() as store:
        held = _holding(store, wanted)
    if held is None:
        raise UserError(
            f"{wanted.name}: the checkpoint of that champion is gone: neither a version in the registry nor"
            f" {wanted.file} holds it; copy that file from where it was promoted"
        )
    return resolve(f"models:/{wanted.name}/{held.version}")


def _holding(store: Store, wanted: Promotion) -> ModelVersion | None:
    found = versions_of(store, wanted.name)
    return next((version for version in found if version.tags["checkpoint_sha256"] == wanted.sha256), None)
