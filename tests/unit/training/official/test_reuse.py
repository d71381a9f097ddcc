"""A configuration that imports: its train cell, what it may say, and which datasets are its targets."""

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.import_cases import Save, place, save, towers, write_params
from zsad.cli import main as cli
from zsad.common.errors import UserError
from zsad.common.io import content_hash, file_sha256, read_json, read_tensors
from zsad.config.params import load_params
from zsad.datasets.manifest import load_manifest
from zsad.inference.applicability import why_not_applicable
from zsad.inference.predict import predict
from zsad.training import checkpoint
from zsad.training.official.convert import import_official
from zsad.training.record import CHECKPOINTS, RECORD, read_record
from zsad.training.train import train

__all__ = ["place", "save"]  # the fixtures, by which pytest finds them


@pytest.fixture
def imported(save: Save) -> str:
    """An imported CoPS with pool 3."""
    return str(import_official(load_params(), "cops", save("cops"), assignments=["pool=3"]).path)


def run(key: str, source: str = "source") -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Record of a train cell and what it reported."""
    events: list[tuple[str, dict[str, Any]]] = []
    assert train(load_params(), key, source, lambda event, **fields: events.append((event, fields)))
    return read_json(CHECKPOINTS / key / source / RECORD), events


def run_with(block: dict[str, Any]) -> None:
    write_params({"official": block})
    run("official")


def test_its_cell_holds_the_imported_tensors_under_its_own_header(imported: str) -> None:
    params = write_params({"official": {"method": "cops", "imported": imported, "source": "source", "pool": 3}})
    record, events = run("official")
    path = Path("data/checkpoints/official/source/seed_4.safetensors")
    header, origin = checkpoint.read_header(path), checkpoint.read_header(Path(imported))
    assert record == {
        "learner": "official",
        "method": "cops",
        "protocol": "strict",
        "source": "source",
        "settings": origin.settings,
        "backbone": origin.backbone,
        "config_hash": params.configuration("official").hash(params),
        "dataset_hash": "h",
        "imported": file_sha256(Path("official.pth")),
        "trained": True,
        "seeds": [4],
        "files": {"4": file_sha256(path)},
    }
    assert (header.learner, header.source, header.seed, header.imported) == ("official", "source", 4, origin.imported)
    learner, _ = checkpoint.load(path, towers("cops"))
    wanted, _ = checkpoint.load(Path(imported), towers("cops"))
    assert all(torch.equal(value, wanted.checkpoint()[name]) for name, value in learner.checkpoint().items())
    assert [event for event, _ in events] == ["start", "end"]
    assert events[0][1]["params"]["imported"] == record["imported"]
    assert events[0][1]["dataset"]["n_images"] == 0
    before = path.read_bytes()
    run("official")
    assert path.read_bytes() == before


def test_paper_protocol_takes_the_same_tensors(imported: str) -> None:
    write_params({"official": {"method": "cops", "imported": imported, "source": "source", "protocol": "paper"}})
    assert run("official")[0]["protocol"] == "paper"
    path = Path("data/checkpoints/official/source/seed_4.safetensors")
    assert checkpoint.load(path, towers("cops"))[0].protocol == "paper"


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"method": "anomalyclip"}, "learners.official.imported: {file} is of method cops, but the configuration's is"),
        ({"method": "clip_zero"}, "learners.official.imported: clip_zero learns nothing"),
        ({"pool": 5}, "learners.official.pool is 5, but {file} has 3; remove the setting"),
        ({"per_source": {"source": {"alpha": 0.5}}}, "learners.official.alpha is 0.5, but {file} has 0.26"),
        ({"backbone": "other"}, "learners.official.backbone: other is {"),
        ({"imported": "data/imported/x.safetensors"}, "data/imported/x.safetensors is not there; make it with `zsad"),
        ({"source": None}, "learners.official.source: required beside `imported`: name the dataset that these weights"),
        (
            {"per_source": {"target": {"imported": "x"}}, "imported": None, "source": None},
            "but none for source; name one under per_",
        ),
        ({"pol": 5}, "unknown parameter 'learners.official.pol'; did you mean 'pool'?"),
        ({"imported": 5}, "learners.official.imported: Input should be a valid string"),
    ],
)
def test_a_configuration_that_does_not_agree_with_its_file(
    imported: str, block: dict[str, Any], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as caught:
        run_with({"method": "cops", "imported": imported, "source": "source", **block})
    assert complaint.replace("{file}", imported) in str(caught.value)
    assert cli.main(["train", "official", "source"]) == 2
    assert not Path("data/checkpoints").exists()


def test_a_checkpoint_of_ours_is_no_imported_one(imported: str) -> None:
    learner, header = checkpoint.load(Path(imported), towers("cops"))
    checkpoint.save(Path("own.safetensors"), learner, replace(header, imported=None))
    with pytest.raises(UserError, match=r"own\.safetensors was trained here, not written by `zsad import`"):
        run_with({"method": "cops", "imported": "own.safetensors", "source": "source"})


def test_a_file_that_was_changed_or_renamed_is_refused(imported: str) -> None:
    block = {"method": "cops", "source": "source"}
    shutil.copy(imported, "cops_000000000000.safetensors")
    with pytest.raises(UserError, match=r"cops_000000000000\.safetensors is not the file its name tells of"):
        run_with({**block, "imported": "cops_000000000000.safetensors"})
    content = bytearray(Path(imported).read_bytes())
    content[-1] ^= 1
    Path(imported).write_bytes(content)
    with pytest.raises(UserError, match=r"import the official file again with `zsad import cops FILE`"):
        run_with({**block, "imported": imported})


@pytest.mark.parametrize(
    "block", [{"imported": "FILE", "source": "source"}, {"per_source": {"source": {"imported": "FILE"}}}]
)
def test_the_dataset_it_was_trained_on_is_no_target(imported: str, block: dict[str, Any]) -> None:
    params = write_params({"official": {"method": "cops", **json.loads(json.dumps(block).replace("FILE", imported))}})
    run("official")
    record, source = read_record("official", "source"), load_manifest("source")
    assert record.training_set == "source"
    assert why_not_applicable(record, replace(source, dataset="target")) is None
    assert why_not_applicable(record, source) == "official is trained on source"
    predict(params, "official", "source")
    assert Path("data/predictions/official/source/prediction.json").is_file()


def test_one_file_for_each_source(save: Save, imported: str) -> None:
    other = import_official(load_params(), "cops", Path("official.pth"), assignments=["pool=7"]).path
    per_source = {"source": {"imported": imported}, "target": {"imported": str(other), "pool": 7}}
    write_params(
        {"official": {"method": "cops", "per_source": per_source}},
        sources={"source": {}, "target": {}},
        datasets={"source": {"path": "x", "source": "target"}, "target": {"path": "x", "source": "source"}},
    )
    assert run("official")[0]["settings"]["pool"] == 3
    assert run("official", "target")[0]["settings"]["pool"] == 7


def test_the_parameter_changes_the_hash_and_its_absence_does_not(imported: str) -> None:
    plain = {"method": "cops"}
    params = write_params(
        {"a": {**plain, "source": "source"}, "b": {**plain, "source": "source", "imported": imported}}
    )
    hashes = [params.configuration(key).hash(params) for key in ("a", "b")]
    assert hashes[0] != hashes[1]
    described = {**vars(params.configuration("a")), "backbone": params.backbones["default"].model_dump()}
    del described["imported"], described["imported_per_source"], described["of"]
    assert hashes[0] == content_hash({"configuration": described, "seeds": [4, 5], "precision": "fp32"})


def test_a_checkpoint_that_is_trained_says_nothing_of_imports(imported: str) -> None:
    learner, header = checkpoint.load(Path(imported), towers("cops"))
    checkpoint.save(Path("own.safetensors"), learner, replace(header, imported=None))
    described = set(read_tensors(Path("own.safetensors"))[1])
    assert described == {field.name for field in fields(header)} - {"imported", "shots", "categories"}
