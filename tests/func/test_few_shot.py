"""A few-shot configuration from params.yaml to the registry, by `zsad repro`."""

import csv
import shutil

import pytest

from tests.helpers.repository import FEW_WORDS, Repo, cells
from zsad.common.io import read_json

LAST = {"aggregate", "register"}
DATASETS = ["demo_source", "demo_texture"]
BOTH_SIDES = """
from zsad.evaluation.past_predictions import both_sides
from zsad.evaluation.results import read_cell
from zsad.evaluation.revisions import cells_at, resolve
name, commit = ("both", "demo_texture"), resolve("HEAD")
before = cells_at(commit)[0]
for side in both_sides(commit, [name], before, {name: read_cell(*name)}):
    assert side.before.hash == before[name]["prediction_hash"] != side.after.hash
    assert side.before.full_map(0, 0, (8, 8)).shape == side.after.full_map(0, 0, (8, 8)).shape
    print("other predictions, both there")
"""


def test_a_few_shot_configuration_is_adapted_to_every_dataset_and_registered_for_each(repo: Repo) -> None:
    repo.set(f"learners={{{FEW_WORDS}}}", "backbones.default.image_size=64")
    repo.repro()
    repo.commit("first results")
    repo.set("few_shot.memory_2shot={method: patch_memory, shots: 2}")
    key, datasets = "memory_2shot", DATASETS
    expected = {"code", "backbones"} | LAST
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
    repo.set(
        "backbones.unused={name: embedded, pretrained: embedded, image_size: 128}", "datasets.demo_source.domain=fabric"
    )
    again = {"weights@unused", "fetch@demo_source", "index@demo_source", "train@clip_zero-demo_source"}
    again |= {stage for stage in expected if stage.endswith("-demo_source")} | {"code", "backbones"} | LAST
    assert set(repo.repro()) == again | {"predict@clip_zero-demo_source", "score@clip_zero-demo_source"}


def test_an_ensemble_is_scored_from_predictions_again_when_a_member_changes(repo: Repo) -> None:
    """Goes on where the test above ends, so that its members' predictions are there."""
    own = {"code", "combine@both", "aggregate", "register", *cells("score_ensemble", ["both"], DATASETS)}
    repo.set("ensembles.both={of: [clip_zero, memory_2shot]}")
    assert set(repo.repro()) == own
    assert repo.repro() == []
    assert repo.is_up_to_date()
    assert "both: mean of clip_zero, memory_2shot" in (repo.path / "metrics/leaderboard.md").read_text()
    cell = read_json(repo.path / "metrics/cells/both/demo_texture.json")
    assert (cell["learner"], cell["method"], cell["shots"], cell["source"]) == ("both", "ensemble", 2, None)
    assert "both" not in repo.run("zsad", "models")
    assert "both: an ensemble has no model to register" in repo.run("zsad", "register")
    for command in (("predict", "models:/both@champion", "data/raw"), ("predict", "both", "demo_texture")):
        assert "ensembles.both: has no model of its own" in repo.run("zsad", *command, code=2)
    repo.commit("with an ensemble")
    repo.run("zsad", "gate", "--against", "HEAD", "--explain")
    repo.run("zsad", "compare", "both", "memory_2shot", "--metric", "image_auroc")
    repo.set("few_shot.memory_2shot.neighbourhood=3")
    for stage in ("adapt", "predict_few_shot", "score_few_shot"):
        own |= cells(stage, ["memory_2shot"], DATASETS)
    assert set(repo.repro()) == own
    assert repo.run("python", "-c", BOTH_SIDES).splitlines()[-1] == "other predictions, both there"


def test_a_few_shot_form_follows_its_learner_and_its_own_shots(repo: Repo) -> None:
    """Goes on where the test above ends, so that other predictions come beside those of an ensemble."""
    repo.set(
        f"learners={{{FEW_WORDS}, adapt_clip: {{epochs: 1, references: 2}}}}",
        "few_shot_of.adapt_1shot={of: adapt_clip, shots: 1}",
    )
    own = {"adapt_trained@adapt_1shot", "aggregate", "register"}
    own |= cells("predict_adapted", ["adapt_1shot"], DATASETS) | cells("score_adapted", ["adapt_1shot"], DATASETS)
    learner = {"train@adapt_clip-demo_source"}
    learner |= cells("predict", ["adapt_clip"], DATASETS) | cells("score", ["adapt_clip"], DATASETS)
    assert set(repo.repro()) == own | learner | {"code", "backbones", "combine@both"}
    assert repo.is_up_to_date()
    cell = read_json(repo.path / "metrics/cells/adapt_1shot/demo_texture.json")
    assert (cell["method"], cell["source"], cell["shots"]) == ("adapt_clip", "demo_source", 1)
    assert cell["mean"]["image_auroc"] is not None
    on_source = read_json(repo.path / "metrics/cells/adapt_1shot/demo_source.json")
    assert on_source["reason"] == "adapt_clip is trained on demo_source"
    assert "adapt_1shot" in (repo.path / "metrics/leaderboard.md").read_text().split("## 1-shot")[1]
    lines = repo.run("zsad", "models").splitlines()
    assert [line.split()[0] for line in lines if line.startswith("adapt_1shot")] == ["adapt_1shot__demo_texture"]
    photos = "data/raw/demo_texture/cork/test/good"
    repo.run("zsad", "predict", "models:/adapt_1shot__demo_texture@champion", photos, "--category", "cork")
    assert repo.run("zsad", "leftovers").count("adapt_1shot") == 0
    params = repo.path / "params.yaml"
    before = params.read_text()
    repo.set("few_shot_of.adapt_1shot.shots=2")
    repo.repro("code")
    told = set(repo.run("zsad", "repro", "--dry-run").splitlines())
    assert "adapt_trained@adapt_1shot: stale" in told
    assert not told & {"train@adapt_clip-demo_source: stale", "train@adapt_clip-demo_source: may run"}
    repo.set("learners.adapt_clip.lr=0.0005")
    repo.repro("code")
    told = repo.run("zsad", "repro", "--dry-run").splitlines()
    assert "train@adapt_clip-demo_source: stale" in told
    assert not [line for line in told if line.startswith(("adapt@", "predict_few_shot@"))]
    params.write_text(before)
    repo.set("few_shot_of={}", "ensembles={}")
    assert set(repo.repro()) == {"code", "backbones", "aggregate", "register"}
    left = repo.run("zsad", "leftovers")
    assert all(name in left for name in ("data/checkpoints/adapt_1shot", "data/ensembles/both"))
