"""Which source's checkpoint a registered version holds."""

from pathlib import Path

import pytest

from zsad.common.errors import UserError
from zsad.common.io import write_json
from zsad.config.params import Params
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.results import FIELDS, cell_path
from zsad.tracking.candidates import candidates
from zsad.tracking.history import current_trainings
from zsad.training.record import CHECKPOINTS

SOURCES = ("aux_b", "aux_a")


@pytest.fixture(autouse=True)
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for source in SOURCES:
        record = {"learner": "cops", "source": source, "method": "cops", "protocol": "strict", "config_hash": "c"}
        record |= {"seeds": [3, 4], "settings": {}, "backbone": {}, "dataset_hash": "d", "files": {"3": "x", "4": "y"}}
        write_json(CHECKPOINTS / "cops" / source / "checkpoint.json", record)


def params_with(*rules: str, protocol: str = "strict") -> Params:
    """Targets that take their model from these sources, beside the sources themselves."""
    targets = {f"target_{number}": rule for number, rule in enumerate(rules)} | {"aux_a": "aux_a", "aux_b": "aux_b"}
    return Params.model_validate(
        {
            "seeds": [3, 4],
            "backbones": {"default": {"name": "embedded", "pretrained": "embedded", "image_size": 112}},
            "sources": {source: {} for source in SOURCES},
            "datasets": {name: {"path": "x", "source": rule} for name, rule in targets.items()},
            "learners": {"cops": {"protocol": protocol}},
            "gate": {"cell": {}, "mean": {}},
        }
    )


@pytest.mark.parametrize(
    ("rules", "source", "targets"),
    [(("aux_a", "aux_b", "aux_a"), "aux_a", 2), (("aux_a", "aux_b"), "aux_b", 1)],
    ids=["most targets", "tie: first under `sources`"],
)
def test_the_source_that_serves_most_targets_is_registered(rules: tuple[str, ...], source: str, targets: int) -> None:
    params = params_with(*rules)
    (candidate,) = candidates(params, list(current_trainings(params)))
    assert candidate.tags["source"] == source
    assert candidate.tags["targets_served"] == str(targets)
    assert candidate.file == CHECKPOINTS / "cops" / source / "seed_3.safetensors"


def test_protocol_paper_and_a_configuration_without_targets_are_not_registered() -> None:
    for params in (params_with("aux_a", protocol="paper"), params_with()):
        assert candidates(params, list(current_trainings(params))) == []


def test_a_missing_checkpoint_names_the_stage_that_makes_it() -> None:
    with pytest.raises(UserError, match=r"aux_a/checkpoint\.json: .*dvc repro train@cops-aux_a"):
        candidates(params_with("aux_a"), [])


def test_a_few_shot_configuration_is_registered_for_each_target() -> None:
    """Not where nothing could be adapted; results of other targets are none of its."""
    shared = {"learner": "apt_4shot", "method": "apt", "protocol": "strict", "config_hash": "c", "shots": 4}
    for target in ("target_0", "aux_b"):
        record = {**shared, "source": target, "seeds": [3], "settings": {}, "backbone": {}, "dataset_hash": "d"}
        write_json(CHECKPOINTS / "apt_4shot" / target / "checkpoint.json", {**record, "files": {"3": "x"}})
        cell = dict.fromkeys(FIELDS) | {"learner": "apt_4shot", "config_hash": "c", "dataset": target}
        value = 0.75 if target == "aux_b" else 0.5
        write_json(cell_path("apt_4shot", target), {**cell, "mean": dict.fromkeys(METRICS, value)})
    unused = {"learner": "apt_4shot", "source": "aux_a", "unused": "no normal training pictures"}
    write_json(CHECKPOINTS / "apt_4shot/aux_a/checkpoint.json", unused)
    content = params_with("aux_a").model_dump()
    content |= {"learners": {}, "few_shot": {"apt_4shot": {"method": "apt", "shots": 4}}}
    params = Params.model_validate(content)
    found = {candidate.name: candidate for candidate in candidates(params, list(current_trainings(params)))}
    assert list(found) == ["apt_4shot__target_0", "apt_4shot__aux_b"]
    own = found["apt_4shot__aux_b"]
    assert own.file == CHECKPOINTS / "apt_4shot/aux_b/seed_3.safetensors"
    assert (own.tags["learner"], own.tags["shots"], own.tags["source"]) == ("apt_4shot", "4", "aux_b")
    assert own.tags["mean.pixel_ap"] == "0.7500"
