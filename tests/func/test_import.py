"""Official weights in the pipeline: import, `dvc repro` of their configuration, registry, predictions, promotion."""

import csv
import hashlib
import json

import pytest

from tests.helpers.repository import SMALL, Repo, make_repo, write_official


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return make_repo(tmp_path_factory.mktemp("import") / "repo", *SMALL, "learners={clip_zero: {}}")


def leaderboard(repo: Repo) -> dict[tuple[str, str], str]:
    """Source of every row."""
    with (repo.path / "metrics/leaderboard.csv").open() as file:
        return {(row["learner"], row["dataset"]): row["source"] for row in csv.DictReader(file)}


def test_import_evaluate_register_predict(repo: Repo) -> None:
    repo.repro("weights@default")
    write_official("anomalyclip", repo.path, "epoch_15.pth")
    told = repo.run("zsad", "import", "anomalyclip", "epoch_15.pth")
    (file,) = (repo.path / "data/imported").iterdir()
    name = str(file.relative_to(repo.path))
    (block,) = [line.strip() for line in told.splitlines() if line.startswith("  anomalyclip_official: ")]
    assert name in block

    repo.set(f"learners={{{block}}}")  # as it is printed
    ran = repo.repro()
    assert "train@anomalyclip_official-demo_source" in ran
    record = json.loads((repo.path / "data/checkpoints/anomalyclip_official/demo_source/checkpoint.json").read_text())
    assert record["imported"] == hashlib.sha256((repo.path / "epoch_15.pth").read_bytes()).hexdigest()
    assert leaderboard(repo) == {("anomalyclip_official", "demo_texture"): "demo_source"}
    assert "anomalyclip_official: official weights" in (repo.path / "metrics/leaderboard.md").read_text()
    assert repo.repro() == []

    picture = "data/raw/demo_texture/cork/test/burn_spot/000.png"
    scores = []
    for model, out in (("models:/anomalyclip_official@champion", "registered"), (name, "imported")):
        repo.run("zsad", "predict", model, picture, "--out", out)
        with (repo.path / out / "scores.csv").open() as table:
            scores.append(next(csv.DictReader(table))["score"])
    assert scores[0] == scores[1] != ""


def test_promote_and_serve(repo: Repo) -> None:
    official = hashlib.sha256((repo.path / "epoch_15.pth").read_bytes()).hexdigest()
    repo.commit("official weights")
    told = repo.run("zsad", "promote", "anomalyclip_official", "--against", "HEAD")
    assert "version 1 is champion already" in told
    (noted,) = json.loads((repo.path / "metrics/promotions.json").read_text())["anomalyclip_official"]
    assert noted["imported"] == official
    assert (repo.path / f"data/registry/promoted/{noted['checkpoint_sha256']}.safetensors").is_file()
    program = (
        "import sys, mlflow; from pathlib import Path;"
        "version = mlflow.MlflowClient().get_model_version_by_alias('anomalyclip_official', 'champion');"
        f"assert 'imported from the file with sha256 `{official}`' in version.description, version.description;"
        "model = mlflow.pyfunc.load_model('models:/anomalyclip_official@champion');"
        "(answer,) = model.predict([Path(sys.argv[1]).read_bytes()], {'threshold': 0.5, 'heatmap': False});"
        "print('answer', f'{answer.score:.6f}', answer.label == (answer.score > 0.5), answer.heatmap)"
    )
    answer = repo.run("python", "-c", program, "data/raw/demo_texture/cork/test/burn_spot/000.png").splitlines()[-1]
    with (repo.path / "registered/scores.csv").open() as table:
        assert answer == f"answer {next(csv.DictReader(table))['score']} True None"
