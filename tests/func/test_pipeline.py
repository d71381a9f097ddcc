"""The pipeline for real: what runs after which change, as DVC sees it. The tests build on one another, in order."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.helpers.repository import Repo, cells

UNTRAINED = '''
"""A learner that scores everything one half."""

from zsad.clip.backbone import FeatureSpec
from zsad.config.schema import Block
from zsad.learners.base import Learner, Scored


class Config(Block):
    sigma: float = 0.0


class Coin(Learner):
    Config = Config
    trained = False

    @property
    def spec(self):
        return FeatureSpec(cls=True, vv_start=0)

    def score(self, features, names, target=""):
        return Scored(features.cls[:, 0].double() * 0 + 0.5, self.as_map(features.patches[..., 0] * 0))
'''


LAST = {"aggregate", "register"}
LEARNERS, DATASETS = ["clip_zero", "anomalyclip"], ["demo_source", "demo_texture"]
TRAIN = cells("train", LEARNERS, ["demo_source"])
PREDICT, SCORE = cells("predict", LEARNERS, DATASETS), cells("score", LEARNERS, DATASETS)
OWN = {"train@anomalyclip-demo_source", *cells("predict", ["anomalyclip"], DATASETS)}


def test_the_whole_grid_runs(repo: Repo) -> None:
    learners, datasets = ["clip_zero", "anomalyclip"], ["demo_source", "demo_texture"]
    expected = (
        {"code", "weights@default", "backbones", "aggregate", "register"}
        | {f"{stage}@{dataset}" for stage in ("fetch", "index") for dataset in datasets}
        | cells("train", learners, ["demo_source"])
        | cells("predict", learners, datasets)
        | cells("score", learners, datasets)
    )
    ran = repo.repro()
    assert set(ran) == expected
    assert len(ran) == len(expected)
    with (repo.path / "metrics/leaderboard.csv").open() as file:
        rows = {(row["learner"], row["dataset"]) for row in csv.DictReader(file)}
    own = ("anomalyclip", "demo_source")
    assert rows == {(learner, dataset) for learner in learners for dataset in datasets} - {own}
    assert set(json.loads((repo.path / "metrics/summary.json").read_text())) == set(learners)
    repo.commit("first results")


def test_every_strict_configuration_is_registered_with_both_aliases(repo: Repo) -> None:
    lines = repo.run("zsad", "models").splitlines()
    for learner in ("clip_zero", "anomalyclip"):
        (line,) = [line for line in lines if line.startswith(learner)]
        assert "challenger" in line
        assert "champion" in line


def test_a_second_run_runs_nothing(repo: Repo) -> None:
    (repo.path / "src/.ruff_cache").mkdir()
    (repo.path / "src/.ruff_cache/0").write_text("of a checker that ran in src")
    assert repo.is_up_to_date()
    assert repo.repro() == []


def test_a_fresh_clone_tells_whether_its_metrics_follow(repo: Repo, tmp_path: Path) -> None:
    """`zsad gate --fresh` has nothing but what is in Git: no data, no cache."""
    repo.run("git", "clone", "-q", str(repo.path), str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    loop, table = clone.path / "src/zsad/training/loop.py", clone.path / "metrics/leaderboard.csv"
    loop.write_text(loop.read_text() + "# a remark\n")
    assert "They follow from the code" in clone.run("zsad", "gate", "--fresh")
    clone.set("learners.anomalyclip.lr=0.0005")
    loop.write_text(loop.read_text() + "ADDED = 1\n")
    table.write_text(table.read_text().replace("0.", "0.9", 1))
    told = clone.run("zsad", "gate", "--fresh", code=1)
    assert "- ran with other parameters: learners.anomalyclip: train@anomalyclip-demo_source\n" in told
    assert "- the code is another now: train@anomalyclip-demo_source and 1 more of train\n" in told
    assert "- metrics/leaderboard.csv is not what was written: aggregate\n" in told
    clone.run("git", "checkout", "-q", ".")
    lock = yaml.safe_load((clone.path / "dvc.lock").read_text())
    (predicted,) = lock["stages"]["predict@clip_zero-demo_texture"]["outs"]
    predicted["md5"] = predicted["md5"][::-1]
    (clone.path / "dvc.lock").write_text(yaml.safe_dump(lock))
    told = clone.run("zsad", "gate", "--fresh", code=1)
    assert "- read another data/predictions/clip_zero/demo_texture: score@clip_zero-demo_texture\n" in told


def test_a_learner_parameter_reruns_its_cells_only(repo: Repo) -> None:
    repo.set("learners.anomalyclip.lr=0.0005")
    expected = {"code", "train@anomalyclip-demo_source"} | LAST
    expected |= cells("predict", ["anomalyclip"], ["demo_source", "demo_texture"])
    expected |= cells("score", ["anomalyclip"], ["demo_source", "demo_texture"])
    assert set(repo.repro()) == expected
    assert repo.run("git", "diff", "--stat", "metrics/")


def test_a_metric_parameter_runs_no_model(repo: Repo) -> None:
    repo.set("metrics.aupro_fpr_limit=0.2")
    assert set(repo.repro()) == {"code"} | SCORE | LAST


def test_parameters_set_back_leave_no_trace(repo: Repo) -> None:
    repo.run("git", "checkout", "params.yaml")
    repo.repro()
    assert repo.run("git", "diff", "metrics/") == ""
    assert repo.is_up_to_date()


# Edits of one file each, as (file, old text, new text): those that mean nothing, then others and what runs for them.
WORDS = {
    "a comment": ("learners/base.py", "\nclass Learner(", "\n# a remark\nclass Learner("),
    "a docstring": ("clip/image.py", "of CLIP: one pass of its blocks", "of CLIP: a pass of its blocks"),
    "a reformatting": (
        "clip/attention.py",
        "k: Tensor, v: Tensor, causal_from: int | None = None)",
        "k: Tensor,\n    v: Tensor, causal_from: int | None = None,\n)",
    ),
    "a moved blank line": ("training/loop.py", "\n\n\ndef _train_only", "\n\ndef _train_only"),
    "the description of a setting": ("learners/base.py", "the last one counts.", "the last one is kept."),
    "a line of the gate": ("evaluation/verdict.py", "ROWS_SHOWN = 20", "ROWS_SHOWN = 21"),
    "a line of the command line": ("cli/main.py", "return OUR_FAULT", "return OUR_FAULT + 1"),
    "a message about parameters": ("config/validation.py", 'if close else f"known here:', 'if close else f"known:'),
}
EDITS = {
    "a line of one method": (
        "learners/anomalyclip.py",
        "    def loss(self, batch: Batch) -> dict[str, Tensor]:\n",
        "    def loss(self, batch: Batch) -> dict[str, Tensor]:\n        assert batch.names\n",
        OWN,
    ),
    "a line of the attention": ("clip/attention.py", "attend(v, v, v)", "attend(v, v, v) * 1", TRAIN | PREDICT),
    "a line of the training loop": (
        "training/loop.py",
        "    learner.zero_grad()\n",
        "    learner.zero_grad(True)\n",
        TRAIN,
    ),
    "a line of the predictions": ("inference/batches.py", "    if picked:\n", "    if len(picked):\n", PREDICT),
    "a line of score": ("evaluation/category.py", "count = max(1, ", "count = max(1, 0 + ", SCORE),
    "a line of the table": ("evaluation/leaderboard.py", '"# Leaderboard"', '"# The leaderboard"', {"aggregate"}),
    "a line of the registration": (
        "tracking/register.py",
        "    chosen = candidates(params, trainings)\n",
        "    chosen = candidates(params, list(trainings))\n",
        {"register"},
    ),
}


def apply(repo: Repo, name: str, old: str, new: str) -> None:
    file = repo.path / "src/zsad" / name
    text = file.read_text()
    assert text.count(old) == 1, f"{name} no longer holds {old!r} once"
    file.write_text(text.replace(old, new))


def test_words_and_formatting_run_the_stage_code_alone(repo: Repo) -> None:
    for edit in WORDS.values():
        apply(repo, *edit)
    assert repo.repro() == ["code"]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_runs_what_reads_it(repo: Repo, edit: str) -> None:
    """One edit after the other, each on top of those before."""
    *change, expected = EDITS[edit]
    apply(repo, *change)
    assert set(repo.repro()) == {"code", *expected}


def test_none_of_these_edits_changed_a_number(repo: Repo) -> None:
    assert repo.run("git", "status", "--short", "--", "metrics/cells", "metrics/leaderboard.csv") == ""
    repo.run("git", "checkout", "src", "metrics")
    repo.repro()
    assert repo.run("git", "diff", "metrics/") == ""


def test_a_new_dataset_adds_one_column(repo: Repo) -> None:
    repo.set("datasets.demo_object={kind: demo, path: src/zsad/datasets/demo.yaml}")
    expected = {"code", "fetch@demo_object", "index@demo_object"} | LAST
    expected |= cells("predict", LEARNERS, ["demo_object"]) | cells("score", LEARNERS, ["demo_object"])
    assert set(repo.repro()) == expected
    assert "demo_object" in (repo.path / "metrics/leaderboard.csv").read_text()


def test_a_new_learner_is_one_file_and_one_block(repo: Repo) -> None:
    (repo.path / "src/zsad/learners/coin.py").write_text(UNTRAINED)
    repo.set("learners.coin={}")
    datasets = [*DATASETS, "demo_object"]
    expected = {"code", "backbones", "train@coin-demo_source"} | LAST
    expected |= cells("predict", ["coin"], datasets) | cells("score", ["coin"], datasets)
    assert set(repo.repro()) == expected
    assert "coin" in (repo.path / "metrics/leaderboard.csv").read_text()


def test_without_them_again_nothing_of_them_is_left(repo: Repo) -> None:
    (repo.path / "src/zsad/learners/coin.py").unlink()
    repo.run("git", "checkout", "params.yaml")
    repo.repro()
    table = (repo.path / "metrics/leaderboard.csv").read_text()
    assert not [name for name in ("demo_object", "coin") if name in table]


def test_a_killed_training_goes_on_and_ends_in_the_same_bytes(repo: Repo) -> None:
    repo.set("learners.anomalyclip.epochs=3", "seeds=[0, 1]")
    repo.repro("train@anomalyclip-demo_source")
    out = repo.path / "data/checkpoints/anomalyclip/demo_source"
    whole = {file.name: file.read_bytes() for file in out.iterdir()}
    scratch = repo.path / "data/scratch/train/anomalyclip/demo_source"
    assert not scratch.exists()

    command = ["dvc", "repro", "-f", "-s", "train@anomalyclip-demo_source"]
    process = subprocess.Popen(command, cwd=repo.path, env=repo.real_environment, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(scratch.glob("*/seed_1.pt")):
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()

    output = repo.run(*command)
    assert "resuming seed_1" in output
    assert {file.name: file.read_bytes() for file in out.iterdir()} == whole
    repo.run("git", "checkout", "params.yaml")
    repo.repro()


def test_the_gate_tells_passed_regressed_and_missing_apart(repo: Repo) -> None:
    assert "passed" in repo.run("zsad", "gate", "--against", "HEAD")
    cell = repo.path / "metrics/cells/anomalyclip/demo_texture.json"
    content = json.loads(cell.read_text())
    content["mean"]["pixel_auroc"] -= 0.2
    cell.write_text(json.dumps(content))
    assert "regressed" in repo.run("zsad", "gate", "--against", "HEAD", code=1)
    cell.unlink()
    assert "cannot_compare" in repo.run("zsad", "gate", "--against", "HEAD", code=2)
    repo.run("git", "checkout", "metrics")


def test_an_unknown_parameter_is_named_before_anything_runs(repo: Repo) -> None:
    repo.run("sed", "-i", "s/epochs: 1/epocks: 1/", "params.yaml")
    output = repo.run("dvc", "repro", code=255)
    assert "learners.anomalyclip.epocks" in output
    assert "did you mean 'epochs'?" in output
    repo.run("git", "checkout", "params.yaml")
    repo.repro()
