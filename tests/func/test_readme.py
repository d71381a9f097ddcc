"""Every command of the README and of the pages in docs/, run as it stands there."""

import csv
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.helpers.repository import FEW_WORDS, ROOT, SMALL, Repo, make_repo, write_official
from tests.helpers.warm_commands import commands

README = (ROOT / "README.md").read_text()
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page in one language; `console` blocks want something that is not at hand."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


COMMANDS = [line.split("#")[0].strip() for block in blocks(README, "bash") for line in block.splitlines()]
IN_CI = ["make repro", "make test"]  # .ci/run calls them
LABELLED = [
    "zsad calibrate models:/anomalyclip@champion good/ --name LINE3 --false-alarms 0.25",
    "zsad predict models:/anomalyclip@champion photos/ --calibration LINE3 --out labelled",
]
EXPORTED = [
    "zsad export models:/anomalyclip@champion --to onnx --out model.onnx",
    "zsad predict model.onnx photos/ --calibration LINE3 --out exported",
]
ON_A_GPU = ["make paper"]  # and needs downloads: not exercised
DEMO = "{kind: demo, path: src/zsad/datasets/demo.yaml}"
README_SIZE = (
    *SMALL,
    f"learners={{{FEW_WORDS}, anomalyclip: {{epochs: 1, lr: 0.0005}}}}",
    "few_shot={apt_2shot: {method: apt, shots: 2, epochs: 2, synthetic: 2, held_out: 2}}",
    f"datasets={{demo_source: {DEMO}, demo_texture: {DEMO}}}",
)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return make_repo(tmp_path_factory.mktemp("readme") / "repo", *README_SIZE)


def test_the_list_of_commands_is_the_readmes() -> None:
    told = [
        *IN_CI,
        "zsad predict models:/anomalyclip@champion photos/ --out predictions",
        *LABELLED,
        *EXPORTED,
        "zsad doctor",
        "zsad report",
        "zsad compare clip_zero anomalyclip",
        "dvc exp run -S learners.anomalyclip.lr=0.001",
        "zsad gate --against HEAD",
        *ON_A_GPU,
    ]
    assert told == COMMANDS


def test_ci_calls_the_two_commands() -> None:
    ci = (ROOT / ".ci/run").read_text()
    assert all(command in ci for command in IN_CI)


def test_run_compare_and_try_a_setting(repo: Repo) -> None:
    repo.repro()
    assert repo.is_up_to_date()
    repo.commit("results")
    assert "champion" in repo.run("zsad", "models")
    repo.run("zsad", "report")
    assert "demo_texture" in (repo.path / "report.html").read_text()
    assert [path.name for path in repo.path.glob("mlartifacts/*/artifacts/report.html")] == ["report.html"]
    assert "image_auroc" in repo.run("zsad", "compare", "clip_zero", "anomalyclip")
    assert "passed" in repo.run("zsad", "gate", "--against", "HEAD")
    repo.run("dvc", "exp", "run", "-S", "learners.anomalyclip.lr=0.001")
    assert "lr: 0.001" in (repo.path / "params.yaml").read_text()
    repo.run("git", "checkout", ".")
    repo.repro()


def test_own_pictures(repo: Repo) -> None:
    (repo.path / "photos").mkdir()
    for picture in sorted((repo.path / "data/raw/demo_texture/cork/test/burn_spot").iterdir())[:2]:
        shutil.copy(picture, repo.path / "photos")
    repo.run("zsad", "predict", "models:/anomalyclip@champion", "photos/", "--out", "predictions")
    assert sorted(path.name for path in (repo.path / "predictions").glob("[!.]*")) == [
        "000.png.heatmap.png", "000.png.overlay.png", "001.png.heatmap.png", "001.png.overlay.png", "scores.csv",
    ]  # fmt: skip


def test_own_pictures_with_a_threshold_and_without_torch(repo: Repo) -> None:
    """As in the README: the exported file says what the model says."""
    shutil.copytree(repo.path / "data/raw/demo_texture/cork/train/good", repo.path / "good")
    for command in [*LABELLED, *EXPORTED]:
        repo.run(*command.split())
    labelled, exported = (_rows(repo.path / name / "scores.csv") for name in ("labelled", "exported"))
    assert {row["label"] for row in labelled} <= {"0", "1"}
    assert [row["threshold"] for row in exported] == [row["threshold"] for row in labelled] != ["", ""]
    for ours, theirs in zip(labelled, exported, strict=True):
        assert float(theirs["score"]) == pytest.approx(float(ours["score"]), abs=1e-5)
        assert theirs["label"] == ours["label"]


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        return list(csv.DictReader(file))


def test_a_heatmap_in_a_notebook(repo: Repo) -> None:
    (program,) = blocks(README, "python")
    shown = 'model.overlay("photos/000.png", result)'
    assert shown in program
    repo.run("python", "-c", program.replace(shown, f"{shown}.save('shown.png')"))
    repo.run("zsad", "predict", "models:/anomalyclip@champion", "photos/000.png", "--out", "one")  # with its own scale
    shown, written = (np.asarray(Image.open(repo.path / name)) for name in ("shown.png", "one/000.png.overlay.png"))
    assert (shown == written).all()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_docs(repo: Repo, page: str) -> None:
    """Shell and Python as they stand there; a page's Python is one program."""
    text = (ROOT / "docs" / page).read_text()
    for block in blocks(text, "bash"):
        repo.run("bash", "-euo", "pipefail", "-c", block)
    if program := "\n".join(blocks(text, "python")):
        repo.run("python", "-c", program)


def test_a_calibration_changes_nothing_that_dvc_holds(repo: Repo) -> None:
    checkpoint = "data/checkpoints/anomalyclip/demo_source/seed_0.safetensors"
    good = "data/raw/demo_texture/cork/train/good"
    repo.run("zsad", "calibrate", checkpoint, good, "--name", "CORK2", "--false-alarms", "0.25")
    repo.run("zsad", "predict", checkpoint, "photos/", "--calibration", "CORK2", "--out", "calibrated")
    assert "up to date" in repo.run("dvc", "status", "train@anomalyclip-demo_source")


def test_official_weights(repo: Repo) -> None:
    write_official("cops", repo.path, "epoch_10.pth")
    repo.run("zsad", "import", "cops", "epoch_10.pth")
    (checkpoint,) = (repo.path / "data/imported").iterdir()
    repo.run("zsad", "predict", str(checkpoint.relative_to(repo.path)), "photos/000.png", "--out", "official")
    assert (repo.path / "official/000.png.overlay.png").is_file()


def test_the_registered_model_is_an_mlflow_model(repo: Repo) -> None:
    program = (
        "import sys, json, mlflow, pandas; from pathlib import Path;"
        "model = mlflow.pyfunc.load_model('models:/anomalyclip@champion');"
        "given = [Path(sys.argv[1]).read_bytes()];"
        "(answer,) = model.predict(given);"
        "(on_spark,) = model.predict(pandas.DataFrame({'0': given}), params={'threshold': 0.5, 'heatmap': False});"
        "assert (on_spark.score, on_spark.label) == (answer.score, int(answer.score > 0.5));"
        "print('score', answer.score, answer.heatmap[:11])"
    )
    answer = repo.run("python", "-c", program, "photos/000.png").splitlines()[-1]
    with (repo.path / "predictions/scores.csv").open() as file:
        score = float(next(csv.DictReader(file))["score"])
    word, served, picture = answer.split()
    assert word == "score"
    assert float(served) == pytest.approx(score, abs=1e-6)
    assert picture == "iVBORw0KGgo"  # a PNG in base64


def test_the_registered_model_needs_only_the_wheel(repo: Repo, tmp_path: Path) -> None:
    """A copy of its folder, in a folder without a repository, by the code that a wheel installs."""
    source, site, model = tmp_path / "source", tmp_path / "site", tmp_path / "model"
    shutil.copytree(ROOT / "src/zsad", source / "src/zsad", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    wheel = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(source / wheel.stdout.splitlines()[-1]) as packed:
        packed.extractall(site)
    where = "import mlflow; print(mlflow.MlflowClient().get_model_version_download_uri('anomalyclip', '1'))"
    folder = repo.run("python", "-c", where).split()[-1].removeprefix("file://")
    shutil.copytree(folder, model)
    program = (
        "import sys, mlflow, zsad; from pathlib import Path;"
        "(answer,) = mlflow.pyfunc.load_model(sys.argv[1]).predict([Path(sys.argv[2]).read_bytes()]);"
        "print(zsad.__file__, answer.score)"
    )
    command = [str(commands() / "python"), "-c", program, str(model), str(repo.path / "photos/000.png")]
    environment = {**repo.environment, "PYTHONPATH": str(site)}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True)
    used, score = done.stdout.split()[-2:]
    assert used == str(site / "zsad/__init__.py")
    with (repo.path / "predictions/scores.csv").open() as file:
        assert float(score) == pytest.approx(float(next(csv.DictReader(file))["score"]), abs=1e-6)


def test_a_few_good_parts(repo: Repo) -> None:
    model = "models:/apt_2shot__demo_texture@champion"
    refused = repo.run("zsad", "predict", model, "photos/", "--category", "cork", code=2)  # there are others
    assert "holds results with other settings (category, model)" in refused
    repo.run("zsad", "predict", model, "photos/", "--category", "cork", "--anew")
    with (repo.path / "predictions/scores.csv").open() as file:
        assert [row["error"] for row in csv.DictReader(file)] == ["", ""]


def test_the_ablation_of_apt(repo: Repo) -> None:
    """The recipe of its page, with one change in place of all."""
    page = (ROOT / "docs/methods/apt.md").read_text()
    (recipe,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    recipe, count = re.subn(r"for change in .*; do", "for change in guide=none; do", recipe)
    assert count == 1
    rows = [line for line in repo.run("bash", "-c", recipe).splitlines() if line.startswith("|")]
    assert [column in rows[0] for column in ("guide", "image_auroc", "pixel_auroc", "pixel_ap")] == [True] * 4
    (row,) = [row for row in rows if "apt_guide_none" in row]
    assert row.count("0.") == 3


def test_mlflow_can_be_rebuilt_from_files(repo: Repo) -> None:
    (repo.path / "mlflow.db").unlink()
    shutil.rmtree(repo.path / "mlartifacts")
    repo.run("zsad", "track", "sync")
    (line,) = [line for line in repo.run("zsad", "models").splitlines() if line.startswith("anomalyclip")]
    assert "challenger champion" in line


def test_mlflow_ui_shows_the_runs(repo: Repo) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["mlflow", "ui", "--port", str(port), "--workers", "1"]
    environment = {**repo.environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # eight processes that judge LLMs
    server = subprocess.Popen(command, cwd=repo.path, env=environment, start_new_session=True)
    try:
        trained = {f"{key}/demo_source" for key in ("clip_zero", "anomalyclip", "apt_2shot")}
        assert _run_names(port, "zsad-training") == {*trained, "apt_2shot/demo_texture"}
        assert {"clip_zero", "anomalyclip", "apt_2shot"} < _run_names(port, "zsad")
    finally:
        server.terminate()
        server.wait(timeout=60)


def _run_names(port: int, experiment: str) -> set[str]:
    api = f"http://127.0.0.1:{port}/api/2.0/mlflow"
    found = _post(f"{api}/experiments/search", {"max_results": 10})
    (number,) = [each["experiment_id"] for each in found["experiments"] if each["name"] == experiment]
    return {run["info"]["run_name"] for run in _post(f"{api}/runs/search", {"experiment_ids": [number]})["runs"]}


def _post(url: str, body: dict) -> dict:
    """Answer of a server that may still be starting."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "mlflow ui did not answer"
            time.sleep(0.5)


def test_the_sets_of_the_papers(repo: Repo) -> None:
    assert "visa: VisA" in repo.run("zsad", "fetch", "--all", "--dry-run")
    _drop_brains(repo, "brainmri", normal=98, anomalous=155)
    repo.run("zsad", "fetch", "brainmri", "--accept-licence", "brainmri")
    assert (repo.path / "data/raw/brainmri/yes/154.png").is_file()

    entry = yaml.safe_load((repo.path / "src/zsad/datasets/entries/brainmri.yaml").read_text())
    entry |= {"expected": {"brain_mri": [1, 1]}, "licence": {"id": "none", "redistribute": False, "accept": False}}
    (repo.path / "mini.yaml").write_text(yaml.safe_dump(entry))
    _drop_brains(repo, "mini", normal=1, anomalous=1)
    repo.set(f"datasets={{demo_source: {DEMO}, brains: {{kind: official, path: mini.yaml}}}}")
    repo.run("dvc", "repro", "index@brains")
    (line,) = [line for line in repo.run("zsad", "datasets").splitlines() if line.startswith("brains")]
    assert "1 normal, 1 anomalous" in line
    assert repo.repro("index@brains") == []


def _drop_brains(repo: Repo, identifier: str, normal: int, anomalous: int) -> None:
    """The archive of a set as a browser saves it."""
    picture = (repo.path / "photos/000.png").read_bytes()
    folder = repo.path / "data/drop" / identifier
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for name in [*(f"no/{i}.png" for i in range(normal)), *(f"yes/{i}.png" for i in range(anomalous))]:
            archive.writestr(name, picture)


def test_own_folders_as_datasets(repo: Repo, tmp_path: Path) -> None:
    shutil.copytree(repo.path / "data/raw/demo_source", tmp_path / "source")
    shutil.copytree(repo.path / "data/raw/demo_texture", tmp_path / "parts")
    places = [f"datasets.my_source.path={tmp_path}/source", f"datasets.my_parts.path={tmp_path}/parts"]
    repo.run("zsad", "profile", "apply", "profiles/folder.yaml", *places)
    repo.set(f"learners={{{FEW_WORDS}}}", "few_shot.promptad_2shot.epochs=1")
    repo.repro()
    assert "my_parts" in (repo.path / "metrics/leaderboard.csv").read_text()
    assert f"{tmp_path}/parts" in repo.run("zsad", "datasets")

    picture = next((tmp_path / "parts/cork/test/good").iterdir())
    picture.unlink()
    ran = repo.repro()
    assert {"fetch@my_parts", "index@my_parts", "predict@clip_zero-my_parts", "score@clip_zero-my_parts"} <= set(ran)
    assert "fetch@my_source" not in ran
