"""Training journals: what survives a kill, what a resumed or repeated training tells, lineage."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from zsad.common.errors import UserError
from zsad.tracking.history import Training, flatten, read_trainings, target_means
from zsad.tracking.journal import Journal, lineage, read_events, system_sample

START: dict[str, Any] = {
    "learner": "cops",
    "source": "demo_source",
    "method": "cops",
    "protocol": "strict",
    "config_hash": "c0",
    "params": {"lr": 0.001, "backbone": {"name": "embedded"}, "seeds": [0]},
    "tags": {},
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "journal" / "cops" / "demo_source.jsonl"


def run(path: Path, losses: list[float], end: str | None = "sha", first: int = 0, **changes: Any) -> None:
    """Journal one process that trains the epochs from `first` on."""
    journal = Journal(path)
    dataset = {"name": "demo_source", "hash": changes.pop("dataset_hash", "d0"), "n_images": 12}
    journal.append("start", **START | changes, dataset=dataset)
    for epoch, loss in enumerate(losses, start=first):
        journal.append("epoch", seed=0, epoch=epoch, losses={"loss": loss}, seconds=1.0, images_per_second=12.0)
        journal.append("system", **system_sample())
    if end:
        journal.append("end", checkpoints={"0": end}, wall_seconds=2.5)


def loss_points(training: Training) -> dict[int, float]:
    return {point.step: point.value for point in training.points() if point.name == "seed_0/loss"}


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_writer(path: Path) -> None:
    run(path, [2.0], end=None)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "epoch", "ti')
    assert len(read_events(path)) == whole.count(b"\n")
    Journal(path).append("note", text="after")
    assert [event["event"] for event in read_events(path)][-1] == "note"
    assert path.read_bytes().startswith(whole)


@pytest.mark.parametrize("damage", [b'{"event": "epo\n', b"\n", b"3\n", b'{"time": 1}\n', b"\xff\xfe\n"])
def test_damage_in_the_middle_names_file_and_line(path: Path, damage: bytes) -> None:
    run(path, [2.0])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + damage + b"".join(lines[1:]))
    with pytest.raises(UserError, match=r"demo_source\.jsonl, line 2: .*delete the file"):
        read_events(path)


def test_a_missing_journal_and_one_without_start_are_user_errors(path: Path) -> None:
    with pytest.raises(UserError, match="no such journal"):
        read_events(path)
    Journal(path).append("epoch", seed=0, epoch=0, losses={}, seconds=1.0, images_per_second=1.0)
    with pytest.raises(UserError, match="does not begin with"):
        read_trainings(path)


def test_a_resumed_training_is_one_and_its_repeated_epochs_replace_the_older_ones(path: Path) -> None:
    run(path, [3.0, 2.0], end=None)
    run(path, [1.5, 1.0], first=1)
    (training,) = read_trainings(path)
    assert loss_points(training) == {0: 3.0, 1: 1.5, 2: 1.0}
    assert training.checkpoints == {"0": "sha"}
    assert training.started == read_events(path)[0]["time"]


@pytest.mark.parametrize(
    ("changes", "end"), [({"config_hash": "c1"}, "b"), ({"dataset_hash": "d1"}, "b"), ({}, "other code")]
)
def test_other_parameters_data_or_results_are_another_training(path: Path, changes: dict[str, str], end: str) -> None:
    run(path, [2.0], end="a")
    run(path, [1.0], end=end, **changes)
    assert [loss_points(training) for training in read_trainings(path)] == [{0: 2.0}, {0: 1.0}]


def test_parameters_changed_after_a_kill_do_not_mix(path: Path) -> None:
    run(path, [2.0], end=None)
    run(path, [1.0], config_hash="c1")
    assert [loss_points(training) for training in read_trainings(path)] == [{0: 2.0}, {0: 1.0}]


def test_a_repeated_training_with_the_same_result_counts_once(path: Path) -> None:
    run(path, [2.0])
    before = read_trainings(path)
    run(path, [2.0])
    assert read_trainings(path) == before


def test_the_start_carries_parameters_and_the_load_is_sampled(path: Path) -> None:
    run(path, [2.0])
    (training,) = read_trainings(path)
    assert flatten(training.start["params"]) == {"lr": "0.001", "backbone.name": "embedded", "seeds": "[0]"}
    loads = [point for point in training.points() if point.name == "system/rss_mib"]
    assert [point.step for point in loads] == [0]
    assert loads[0].value > 1


def test_long_values_and_odd_names_fit_an_mlflow_store() -> None:
    flat = flatten({"prompts": "x" * 900, "a:b": {"c\n": 1}, "empty": {}})
    assert len(flat["prompts"]) == 500
    assert flat["prompts"].endswith("…")
    assert flat["a_b.c_"] == "1"
    assert flat["empty"] == "{}"


def test_a_missing_metric_is_not_averaged_in() -> None:
    cells = [{"mean": {"image_ap": 0.5, "pixel_ap": None}}, {"mean": {"image_ap": 0.7, "pixel_ap": 0.9}}, {"mean": {}}]
    assert target_means(cells) == pytest.approx({"image_ap": 0.6, "pixel_ap": 0.9})


def test_lineage_without_git_and_with(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert lineage() == {}
    monkeypatch.setenv("DVC_STAGE", "train@cops-demo_source")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=work")
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *identity, *command], check=True)
    Path("dvc.lock").write_text("schema: '2.0'\n")
    facts = lineage()
    assert {"dvc.stage": "train@cops-demo_source", "git.branch": "work", "git.dirty": "false"}.items() <= facts.items()
    assert len(facts["git.commit"]) == 40
    assert len(facts["dvc.lock.md5"]) == 32
    Path("params.yaml").write_text("seeds: [0]\n")
    assert lineage()["git.dirty"] == "true"
    monkeypatch.setenv("PATH", "")
    assert "git.commit" not in lineage()
