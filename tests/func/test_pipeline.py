"""`dvc repro` for real: what runs after which change. The tests build on one another, in this order."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.helpers.repository import Repo

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


def cells(stage: str, learners: list[str], others: list[str]) -> set[str]:
    return {f"{stage}@{learner}-{other}" for learner in learners for other in others}


def last(repo: Repo) -> set[str]:
    return {"aggregate", "register"}


def test_the_whole_grid_runs(repo: Repo) -> None:
    learners, datasets = ["clip_zero", "anomalyclip"], ["demo_source", "demo_texture"]
    expected = (
        {"weights@default", "aggregate", "register"}
        | {f"{stage}@{dataset}" for stage in ("fetch", "index") for dataset in datasets}
        | {f"code@{learner}" for learner in learners}
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
    assert repo.repro() == []


def test_a_learner_parameter_reruns_its_cells_only_and_back_leaves_no_trace(repo: Repo) -> None:
    repo.set("learners.anomalyclip.lr=0.0005")
    expected = {"code@anomalyclip", "train@anomalyclip-demo_source"} | last(repo)
    expected |= cells("predict", ["anomalyclip"], ["demo_source", "demo_texture"])
    expected |= cells("score", ["anomalyclip"], ["demo_source", "demo_texture"])
    assert set(repo.repro()) == expected
    assert repo.run("git", "diff", "--stat", "metrics/")
    repo.run("git", "checkout", "params.yaml")
    repo.repro()
    assert repo.run("git", "diff", "metrics/") == ""


def test_a_metric_parameter_runs_no_model(repo: Repo) -> None:
    repo.set("metrics.aupro_fpr_limit=0.2")
    assert {stage.partition("@")[0] for stage in repo.repro()} == {"score", "aggregate", "register"}
    repo.run("git", "checkout", "params.yaml")
    repo.repro()
    assert repo.run("git", "diff", "metrics/") == ""


def test_a_learner_file_reruns_its_configurations_only(repo: Repo) -> None:
    file = repo.path / "src/zsad/learners/anomalyclip.py"
    file.write_text(file.read_text() + "\n# another remark\n")
    ran = {stage for stage in repo.repro() if not stage.startswith("code@")}
    assert "train@anomalyclip-demo_source" in ran
    assert not [stage for stage in ran if "clip_zero" in stage]
    assert "aggregate" not in ran  # the same weights give the same metrics
    repo.run("git", "checkout", "src")
    repo.repro()


def test_a_new_dataset_adds_one_column(repo: Repo) -> None:
    repo.set("datasets.demo_object={kind: demo, path: src/zsad/datasets/demo.yaml}")
    learners = ["clip_zero", "anomalyclip"]
    expected = {"fetch@demo_object", "index@demo_object"} | last(repo)
    expected |= cells("predict", learners, ["demo_object"]) | cells("score", learners, ["demo_object"])
    assert set(repo.repro()) == expected
    repo.run("git", "checkout", "params.yaml")
    repo.repro()
    assert "demo_object" not in (repo.path / "metrics/leaderboard.csv").read_text()


def test_a_new_learner_is_one_file_and_one_block(repo: Repo) -> None:
    (repo.path / "src/zsad/learners/coin.py").write_text(UNTRAINED)
    repo.set("learners.coin={}")
    ran = {stage for stage in repo.repro() if not stage.startswith("code@")}
    datasets = ["demo_source", "demo_texture"]
    expected = {"train@coin-demo_source"} | cells("predict", ["coin"], datasets) | cells("score", ["coin"], datasets)
    assert ran == expected | last(repo)
    assert "coin" in (repo.path / "metrics/leaderboard.csv").read_text()
    (repo.path / "src/zsad/learners/coin.py").unlink()
    repo.run("git", "checkout", "params.yaml")
    repo.repro()


def test_a_few_shot_configuration_is_adapted_to_every_dataset_and_registered_for_each(repo: Repo) -> None:
    repo.set("few_shot.winclip_2shot={method: winclip_plus, shots: 2}")
    key, datasets = "winclip_2shot", ["demo_source", "demo_texture"]
    expected = {f"code_few_shot@{key}"} | last(repo)
    for stage in ("adapt", "predict_few_shot", "score_few_shot"):
        expected |= cells(stage, [key], datasets)
    assert set(repo.repro()) == expected
    assert repo.repro() == []
    table = (repo.path / "metrics/leaderboard.md").read_text()
    assert key in table.split("## 2-shot")[1]
    assert "clip_zero" not in table.split("## 2-shot")[1].split("Left out")[0]
    lines = repo.run("zsad", "models").splitlines()
    assert [line.split()[0] for line in lines if line.startswith(key)] == [f"{key}__{name}" for name in datasets]
    model, photos = f"models:/{key}__demo_texture@champion", "data/raw/demo_texture/cork/test/good"
    assert "one for each of: cork" in repo.run("zsad", "predict", model, photos, code=2).replace("corduroy, ", "")
    repo.run("zsad", "predict", model, photos, "--category", "cork")
    with (repo.path / "predictions/scores.csv").open() as file:
        first = next(csv.DictReader(file))
        assert 0 <= float(first["score"]) <= 1
        assert not first["error"]
    program = (
        "import sys, mlflow; from pathlib import Path; model = mlflow.pyfunc.load_model(sys.argv[1]);"
        "(answer,) = model.predict([Path(sys.argv[2]).read_bytes()], params={'category': 'cork'}); print(answer.score)"
    )
    served = repo.run("python", "-c", program, model, first["path"]).splitlines()[-1]
    assert float(served) == pytest.approx(float(first["score"]), abs=1e-6)
    assert "is champion already" in repo.run("zsad", "promote", f"{key}__demo_texture", "--against", "HEAD")
    shutil.rmtree(repo.path / "predictions")
    repo.set("few_shot.winclip_2shot.scales=[2]")
    assert set(repo.repro()) == expected
    repo.run("git", "checkout", "params.yaml")
    repo.repro()


def test_a_killed_training_goes_on_and_ends_in_the_same_bytes(repo: Repo) -> None:
    repo.set("learners.anomalyclip.epochs=3", "seeds=[0, 1]")
    repo.repro("train@anomalyclip-demo_source")
    out = repo.path / "data/checkpoints/anomalyclip/demo_source"
    whole = {file.name: file.read_bytes() for file in out.iterdir()}
    scratch = repo.path / "data/scratch/train/anomalyclip/demo_source"
    assert not scratch.exists()

    command = ["dvc", "repro", "-f", "-s", "train@anomalyclip-demo_source"]
    process = subprocess.Popen(command, cwd=repo.path, env=repo.environment, start_new_session=True)
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
