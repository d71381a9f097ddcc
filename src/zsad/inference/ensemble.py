"""Predictions of a row of the tables: a configuration's own, or the mean of those of an ensemble's members.

The mean is taken when it is read, of image scores and of maps at the size that is asked for. So it costs no disk, and
is that of what the members are scored by, whatever grids their maps are stored on.

data/ensembles/<key>/<dataset>.json, written by the stage `combine`, names the members, their weights, and by hash the
predictions that there were: by that DVC knows when to score again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from zsad.common.errors import UserError
from zsad.common.io import content_hash, read_json, write_json
from zsad.config.ensemble import Ensemble
from zsad.inference.maps import Floats
from zsad.inference.stored import INFO_FILE, PREDICTIONS, Predictions, Provenance

ENSEMBLES = Path("data/ensembles")


class Member(NamedTuple):
    """Predictions of one member, and its weight, as params.yaml gives it."""

    predictions: Predictions
    weight: float


@dataclass(frozen=True)
class EnsemblePredictions:
    """The weighted mean of its members' predictions; read as `Predictions` is."""

    directory: Path  # the file that names the members
    info: Provenance
    hash: str  # of the members' predictions and weights, or of the reason why there are none
    members: tuple[Member, ...]

    def scores(self, seed: int) -> Floats:
        """Image scores [n], higher = more anomalous."""
        return self.mean(seed, Predictions.scores)

    def full_map(self, seed: int, image: int, size: tuple[int, int]) -> Floats:
        """Anomaly probabilities [H,W] of one image at `size` (height, width)."""
        return self.mean(seed, lambda member, own: member.full_map(own, image, size))

    @property
    def fuses_maps(self) -> bool:
        """Whether image scores of one member are made with maps."""
        return any(member.fuses_maps for member, _ in self.members)

    def mean(self, seed: int, of: Callable[[Predictions, int], Floats]) -> Floats:
        """Weighted mean of what `of` gives for a member's predictions and the seed that stands there for `seed`."""
        total = sum(weight for _, weight in self.members)
        values = [of(member, _own_seed(member, seed)) * (weight / total) for member, weight in self.members]
        return sum(values[1:], start=values[0])


RowPredictions = Predictions | EnsemblePredictions
"""Predictions of a row: what can be scored and shown."""


def predictions_of(key: str, dataset: str, root: Path = Path()) -> RowPredictions:
    """The predictions of row `key` on `dataset` below `root`. UserError where they are missing, or not of one piece."""
    own, named = root / PREDICTIONS / key / dataset, root / ensemble_file(key, dataset)
    if not named.is_file():
        return Predictions.open(own)
    if own.exists():
        raise UserError(
            f"{own}: {key} has predictions of its own, and is an ensemble by {named}; one of them is left from an"
            " earlier params.yaml: `zsad leftovers --remove` deletes it"
        )
    told = [(root / PREDICTIONS / one["learner"] / dataset, one["weight"]) for one in read_json(named)["members"]]
    return _of_members(key, dataset, named, [Member(Predictions.open(directory), weight) for directory, weight in told])


def have_predictions(key: str, dataset: str) -> bool:
    """Whether predictions of row `key` on `dataset` are here, of an ensemble those of all members."""
    return all((PREDICTIONS / one / dataset / INFO_FILE).is_file() for one in member_keys(key, dataset))


def member_keys(key: str, dataset: str, root: Path = Path()) -> list[str]:
    """Whose stored predictions make those of row `key` on `dataset`: an ensemble's members, or its own."""
    named = root / ensemble_file(key, dataset)
    return [one["learner"] for one in read_json(named)["members"]] if named.is_file() else [key]


def ensemble_file(key: str, dataset: str) -> Path:
    """Where stands of what an ensemble is the mean on a dataset."""
    return ENSEMBLES / key / f"{dataset}.json"


def write_ensemble(ensemble: Ensemble, dataset: str, directory: Path) -> None:
    """Write `directory`/<dataset>.json. UserError where the members' predictions cannot be averaged."""
    keys = [member.key for member in ensemble.members]
    opened = [Predictions.open(PREDICTIONS / key / dataset) for key in keys]
    members = [Member(one, weight) for one, weight in zip(opened, ensemble.weights, strict=True)]
    _of_members(ensemble.key, dataset, ensemble_file(ensemble.key, dataset), members)
    told = [{"learner": key, "predictions": one.hash, "weight": w} for key, (one, w) in zip(keys, members, strict=True)]
    write_json(directory / f"{dataset}.json", {"members": told})


def _of_members(key: str, dataset: str, file: Path, members: Sequence[Member]) -> EnsemblePredictions:
    infos = [member.info for member, _ in members]
    reasons = dict.fromkeys(info.reason for info in infos if info.reason)
    weights = [weight for _, weight in members]
    info = Provenance(
        learner=key,
        method=Ensemble.method,
        protocol="paper" if any(info.protocol == "paper" for info in infos) else "strict",
        source=", ".join(dict.fromkeys(info.source for info in infos if info.source)) or None,
        shots=max(info.shots for info in infos),
        dataset=dataset,
        domain=infos[0].domain,
        seeds=[] if reasons else _seeds(file, infos),
        n_images=infos[0].n_images,
        config_hash=content_hash([weights, [info.config_hash for info in infos]]),
        dataset_hash=_same_pictures(file, infos),
        reason="; ".join(reasons) or None,
        left_out={category: why for info in infos for category, why in info.left_out.items()},
    )
    made_of = {"reason": info.reason} if reasons else {"weights": weights, "of": [one.hash for one, _ in members]}
    return EnsemblePredictions(file, info, content_hash(made_of), tuple(members))


def _same_pictures(file: Path, infos: Sequence[Provenance]) -> str:
    """The members' dataset hash, which must be one."""
    first, *others = infos
    for other in others:
        if (other.dataset_hash, other.n_images) != (first.dataset_hash, first.n_images):
            raise UserError(
                f"{file}: {first.learner} and {other.learner} were predicted on other images of {first.dataset}; run"
                " `dvc repro`"
            )
    return first.dataset_hash


def _seeds(file: Path, infos: Sequence[Provenance]) -> list[int]:
    """Seeds that all members have. A member with one seed, as what is not trained has, stands beside every seed."""
    several = [info for info in infos if len(info.seeds) > 1]
    if not several:
        return infos[0].seeds
    shared = [seed for seed in several[0].seeds if all(seed in info.seeds for info in several)]
    if not shared:
        told = "; ".join(f"{info.learner} {', '.join(map(str, info.seeds))}" for info in several)
        raise UserError(f"{file}: its members share no seed ({told}); run `dvc repro`, which predicts with `seeds`")
    return shared


def _own_seed(predictions: Predictions, seed: int) -> int:
    return seed if len(predictions.info.seeds) > 1 else predictions.info.seeds[0]
