"""Official weights in the pipeline: import, `dvc repro` of their configuration, the registry, a prediction by URI."""

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
