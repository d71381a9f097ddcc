"""Promoting a version to `champion`, and remembering it, so that a registry made anew has the same champions.

metrics/promotions.json is committed: name of the model → what its versions said of themselves, the latest last. The
checkpoint itself is kept in data/registry/promoted, because training overwrites its own.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zsad.common.errors import UserError
from zsad.common.io import atomic_path, file_sha256, read_json, write_json
from zsad.evaluation.results import cell_path
from zsad.tracking.addresses import resolve
from zsad.tracking.calibrations import TAG
from zsad.tracking.candidates import Candidate
from zsad.tracking.connection import open_store
from zsad.tracking.history import Training, read_trainings
from zsad.tracking.journal import JOURNAL_DIR
from zsad.tracking.versions import CHALLENGER, CHAMPION, by_alias
from zsad.training.record import read_record

PROMOTIONS = Path("metrics/promotions.json")
KEPT = Path("data/registry/promoted")


@dataclass(frozen=True)
class Promotion:
    """The promoted version of one model, by the tags it had."""

    name: str
    tags: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Of its checkpoint."""
        return self.tags["checkpoint_sha256"]

    @property
    def file(self) -> Path:
        """Where its checkpoint is kept."""
        return KEPT / f"{self.sha256}.safetensors"


def promote(name: str) -> str:
    """Move alias `champion` to where `challenger` points; returns what was done.

    Refused when the results on disk are not the challenger's: what the gate has let pass would be something else.
    """
    with open_store() as store:
        new = by_alias(store, name, CHALLENGER)
        results = cell_path(new.tags.get("learner", name), "any").parent
        own = new.tags["source"] if new.tags.get("shots", "0") != "0" else "*"  # what is adapted serves one dataset
        if new.tags["config_hash"] not in {read_json(cell)["config_hash"] for cell in results.glob(f"{own}.json")}:
            raise UserError(f"{name}: {results} does not hold the challenger's results; run `dvc repro`")
        trained = read_record(new.tags.get("learner", name), new.tags["source"])
        if trained.files.get(new.tags["seed"]) != new.tags["checkpoint_sha256"]:
            raise UserError(f"{name}: {trained.directory} was trained again since; run `zsad register` first")
        old = store.client.get_registered_model(name).aliases.get(CHAMPION)
    told = {tag: value for tag, value in new.tags.items() if not tag.startswith(TAG)}
    _record(name, told, resolve(f"models:/{name}/{new.version}"))  # first: what is not noted would be undone
    if str(old) == str(new.version):
        return f"{name}: version {old} is champion already"
    with open_store() as store:
        store.client.set_registered_model_alias(name, CHAMPION, new.version)
    return f"{name}: champion is now version {new.version}" + (f" (was {old})" if old else "")


def _record(name: str, tags: Mapping[str, str], checkpoint: Path) -> None:
    """Note a promotion, and keep its checkpoint; the same one again changes nothing."""
    new, past = Promotion(name, tags), _past()
    if not new.file.is_file():
        with atomic_path(new.file) as temporary:
            shutil.copyfile(checkpoint, temporary)
    own = past.setdefault(name, [])
    if not own or own[-1]["checkpoint_sha256"] != new.sha256:
        own.append(dict(tags))
        write_json(PROMOTIONS, past)


def promotions() -> dict[str, Promotion]:
    """The latest promotion of each model, by its name."""
    return {name: Promotion(name, own[-1]) for name, own in _past().items() if own}


def promoted_candidate(promotion: Promotion) -> Candidate | None:
    """The kept checkpoint of a promotion, to be registered again; None when it is not on this machine."""
    if not promotion.file.is_file() or file_sha256(promotion.file) != promotion.sha256:
        return None
    tags, training = dict(promotion.tags), _training(promotion)
    return Candidate(promotion.name, training, tags["seed"], promotion.file, [], tags)


def _training(promotion: Promotion) -> Training:
    """As its journal tells of it; where that is gone, as far as the tags know it."""
    for path in sorted(JOURNAL_DIR.glob("*/*.jsonl")):
        for training in read_trainings(path):
            if promotion.sha256 in training.checkpoints.values():
                return training
    tags = promotion.tags
    start = {
        **{name: tags[name] for name in ("learner", "source", "method", "protocol", "config_hash")},
        **({"shots": int(tags["shots"])} if tags["shots"] != "0" else {}),
        "params": {"seeds": [int(tags["seed"])]},
        "tags": {"zsad.rebuilt": f"from {PROMOTIONS}"},
        "dataset": {"name": tags["source"], "hash": tags["dataset_hash"]},
    }
    kept = promotion.file.stat().st_mtime_ns // 1_000_000
    return Training(start, kept, end={"checkpoints": {tags["seed"]: promotion.sha256}, "time": kept})


def _past() -> dict[str, list[dict[str, str]]]:
    if not PROMOTIONS.is_file():
        return {}
    past = read_json(PROMOTIONS)
    well_formed = isinstance(past, dict) and all(
        isinstance(own, list) and all(isinstance(tags, dict) and "checkpoint_sha256" in tags for tags in own)
        for own in past.values()
    )
    if not well_formed:
        raise UserError(f"{PROMOTIONS}: not name → list of versions; restore it with `git checkout {PROMOTIONS}`")
    return past
