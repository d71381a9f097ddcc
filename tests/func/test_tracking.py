"""MLflow for real: one SQLite store in a temporary repository, from its first use by four processes to its rebuild."""

import base64
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import mlflow
import numpy as np
import pytest
from filelock import FileLock

import zsad
from tests.helpers.tracking_cases import KEYS, SPEED, make_cell, start_journal, write_params
from tests.helpers.warm_commands import commands
from zsad.common.errors import UserError
from zsad.common.io import file_sha256, read_json
from zsad.config.params import Params, load_params
from zsad.inference.calibration import Calibration, calibrate
from zsad.tracking import connection, store
from zsad.tracking import register as registration
from zsad.tracking import runs as tracking
from zsad.tracking.addresses import resolve, resolve_run
from zsad.tracking.calibrations import KEPT as CALIBRATIONS
from zsad.tracking.calibrations import find, keep, of_model
from zsad.tracking.comparison import compare, log_report
from zsad.tracking.journal import journal_path
from zsad.tracking.promotions import KEPT, PROMOTIONS, promote
from zsad.tracking.register import register
from zsad.tracking.versions import list_models

SEND = (
    "import sys; from pathlib import Path; from zsad.tracking.runs import send; sys.exit(not send(Path(sys.argv[1])))"
)


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """A repository with four trained configurations; the tests below use it in their order."""
    here, root = Path.cwd(), tmp_path_factory.mktemp("repository")
    write_params(root)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "DVC_STAGE", "DVC_EXP_NAME"):
            patch.delenv(name, raising=False)
        patch.chdir(root)
        loaded = load_params()
        for number, key in enumerate(KEYS):
            make_cell(loaded, key, "demo_source", weight=float(number), losses=[2.0, 1.0])
        yield loaded
    assert Path.cwd() == here


def client() -> tracking.MlflowClient:
    return tracking.MlflowClient(tracking_uri=store.store_uri())


def runs(cell: str = "") -> list[Any]:
    """Train runs, of one cell or of all."""
    return in_experiment("zsad-training", f"tags.`zsad.cell` = '{cell}'" if cell else "")


def compared(where: str = "tags.current = 'yes'") -> dict[str, Any]:
    """Runs of configurations by name."""
    found = in_experiment("zsad", f"tags.`zsad.kind` = 'configuration' and {where}")
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def in_experiment(name: str, where: str = "") -> list[Any]:
    return client().search_runs([client().get_experiment_by_name(name).experiment_id], where)


def everything() -> list[Any]:
    """All that the comparison tells, artifacts included, without what follows the time of writing."""
    told = []
    for run in in_experiment("zsad"):
        paths = [
            item.path
            for folder in ("", "tables", "images")
            for item in client().list_artifacts(run.info.run_id, folder)
        ]
        tags = {k: v for k, v in run.data.tags.items() if k not in ("mlflow.parentRunId", "mlflow.note.content")}
        told.append([run.info.run_name, run.data.metrics, run.data.params, tags, sorted(paths)])
    return sorted(told, key=lambda run: run[0])


def history(run: Any, name: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client().get_metric_history(run.info.run_id, name))


def aliases_of(name: str) -> dict[int, tuple[str, ...]]:
    return {model.version: model.aliases for model in list_models() if model.name == name}


def test_four_processes_may_be_the_first_to_use_the_store(params: Params) -> None:
    journals = [str(journal_path(key, "demo_source")) for key in KEYS]
    python = str(commands() / "python")  # forks of one that has MLflow imported, so that they come at the same time
    processes = [subprocess.Popen([python, "-c", SEND, journal]) for journal in journals]
    assert [process.wait(timeout=300) for process in processes] == [0] * 4
    assert sorted(run.info.run_name for run in runs()) == sorted(f"{key}/demo_source" for key in KEYS)
    assert Path("mlflow.db").is_file()
    assert not Path("mlruns").exists()  # with data in it, MLflow would take it for the store
    assert not list(Path().glob(".mlflow.db*"))


def test_a_run_tells_what_the_journal_tells(params: Params) -> None:
    (run,) = runs("cops/demo_source")
    assert run.info.status == "FINISHED"
    assert history(run, "seed_1/loss") == [(0, 2.0), (1, 1.0)]
    assert run.data.metrics["wall_seconds"] == 4.0
    assert run.data.metrics["system/rss_mib"] > 1
    assert run.data.params["backbone.name"] == "embedded"
    assert len(run.data.params["prompts"]) == 500
    assert run.data.tags["mlflow.source.name"] == "zsad train cops demo_source"
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("demo_source", "manifest-of-demo_source")


def test_sending_again_changes_nothing(params: Params) -> None:
    before = [run.to_dictionary() for run in runs()]
    for key in KEYS:
        assert tracking.send(journal_path(key, "demo_source"))
    assert [run.to_dictionary() for run in runs()] == before


def test_sync_tells_of_every_training_once(params: Params) -> None:
    assert tracking.sync(params) == {"runs": 4, "changed": 0, "rebuilt": 0}


def test_one_run_a_configuration_with_metrics_by_dataset_and_domain(params: Params) -> None:
    assert compare(params) == {"configurations": 4, "told": 4}
    found = compared()
    assert sorted(found) == sorted(KEYS)
    run = found["cops_paper"]
    assert run.data.metrics == pytest.approx(
        {
            "all/image_auroc": 0.75,
            "domain/texture/image_auroc": 0.7,
            "domain/object/image_auroc": 0.8,
            "on/demo_texture/image_auroc": 0.7,
            "on/demo_object/image_auroc": 0.8,
        }
    )
    expected = {
        "method": "cops",
        "protocol": "paper",
        "track": "zero-shot",
        "source": "demo_source",
        "domain": "object texture",
    }
    assert expected.items() <= run.data.tags.items()
    assert run.data.params["backbone.name"] == "embedded"
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["demo_texture", "demo_object"]
    (training,) = runs("cops_paper/demo_source")
    assert f"runs/{training.info.run_id}" in run.data.tags["mlflow.note.content"]
    assert (run.info.start_time, run.info.end_time) == (training.info.start_time, training.info.end_time)
    table = client().load_table(run.info.experiment_id, "tables/datasets.json", [run.info.run_id])
    assert table[["dataset", "metric"]].to_numpy().tolist() == [
        ["demo_texture", "image_auroc"],
        ["demo_object", "image_auroc"],
    ]
    assert table["mean"].tolist() == pytest.approx([0.7, 0.8])


def test_one_parent_holds_all_of_one_state(params: Params) -> None:
    (parent,) = in_experiment("zsad", "tags.`zsad.kind` = 'results'")
    assert {run.data.tags["mlflow.parentRunId"] for run in compared().values()} == {parent.info.run_id}
    assert [item.path for item in client().list_artifacts(parent.info.run_id)] == ["tables"]
    assert "| texture | zero-shot |" in parent.data.tags["mlflow.note.content"]


def test_the_experiment_names_the_best_and_has_views(params: Params) -> None:
    tags = client().get_experiment_by_name("zsad").tags
    assert tags["mlflow.note.content"].startswith("**Best zero-shot by image AUROC**: [all targets](#/")
    assert "viewStateShareKey=leaderboard) clip_zero 0.750 · [object]" in tags["mlflow.note.content"]
    views = [name for name in tags if name.startswith("mlflow.sharedViewState.")]
    assert sorted(name.rpartition(".")[2] for name in views) == ["domain_object", "domain_texture", "leaderboard"]


def test_comparing_again_changes_nothing(params: Params) -> None:
    before = [run.to_dictionary() for run in in_experiment("zsad")]
    assert compare(params) == {"configurations": 4, "told": 0}
    assert [run.to_dictionary() for run in in_experiment("zsad")] == before


def test_a_report_is_attached_once(params: Params, tmp_path: Path) -> None:
    (parent,) = in_experiment("zsad", "tags.`zsad.kind` = 'results'")
    report = tmp_path / "report.html"
    with connection.open_store() as store:
        assert not log_report(store, parent.info.run_id, report)
        report.write_text("<html></html>")
        assert log_report(store, parent.info.run_id, report)
        assert not log_report(store, parent.info.run_id, report)
    assert "report.html" in [item.path for item in client().list_artifacts(parent.info.run_id)]


def test_a_killed_training_is_completed_in_its_own_run(params: Params) -> None:
    record = {**read_json(Path("data/checkpoints/cops/demo_source/checkpoint.json")), "config_hash": "killed"}
    journal = Path("data/journal/killed/demo_source.jsonl")
    for first, end in ((0, None), (1, {"0": "sha"})):
        writer = start_journal({**record, "learner": "killed"}, journal)
        for epoch in range(first, first + 2):
            writer.append("epoch", seed=0, epoch=epoch, losses={"loss": 5.0 - epoch}, **SPEED)
        if end:
            writer.append("end", checkpoints=end, wall_seconds=1.0)
        assert tracking.send(journal)
        (run,) = runs("killed/demo_source")
        assert run.info.status == ("FINISHED" if end else "RUNNING")
    assert history(run, "seed_0/loss") == [(0, 5.0), (1, 4.0), (2, 3.0)]
    journal.unlink()
    client().delete_run(run.info.run_id)


def test_register_makes_versions_with_aliases_and_a_receipt(params: Params, capfd: pytest.CaptureFixture[str]) -> None:
    receipt = register(params)
    assert capfd.readouterr() == ("", "")
    assert sorted(receipt) == ["anomalyclip", "clip_zero", "cops"]  # never protocol paper
    checkpoint = read_json(Path("data/checkpoints/cops/demo_source/checkpoint.json"))
    assert receipt["cops"] == {
        "source": "demo_source",
        "checkpoints": checkpoint["files"],
        "config_hash": checkpoint["config_hash"],
    }
    models = {model.name: model for model in list_models()}
    assert sorted(models) == sorted(receipt)
    assert models["cops"].aliases == ("challenger", "champion")
    assert models["cops"].protocol == "strict"
    assert models["cops"].mean == {"image_auroc": 0.75}
    (version,) = client().search_model_versions("name='cops'")
    assert "| demo_texture | texture | 0.700 | – | – |" in version.description
    assert "Since the champion" not in version.description
    assert "`champion` is the version to rely on" in client().get_registered_model("cops").description
    (evaluated,) = client().get_run(compared()["cops"].info.run_id).outputs.model_outputs
    assert f"models:/{evaluated.model_id}" == version.source


def test_a_version_holds_the_first_seed_and_its_metrics_by_dataset(params: Params) -> None:
    (version,) = client().search_model_versions("name='cops'")
    model = client().get_logged_model(version.source.removeprefix("models:/"))
    values = {(metric.key, metric.dataset_name): metric.value for metric in model.metrics}
    assert values == pytest.approx(
        {
            ("image_auroc", "demo_texture"): 0.7,
            ("image_auroc", "demo_object"): 0.8,
            ("image_auroc", None): 0.75,
        }
    )
    (run,) = runs("cops/demo_source")
    assert run.data.metrics["image_auroc"] == pytest.approx(0.75)  # not that of the dataset logged last
    stored = [artifact.path for artifact in client().list_artifacts(run.info.run_id, "checkpoints")]
    assert stored == ["checkpoints/seed_1.safetensors"]
    assert model.source_run_id == run.info.run_id
    digest = file_sha256(Path("data/checkpoints/cops/demo_source/seed_0.safetensors"))
    assert version.tags["checkpoint_sha256"] == digest


def test_registering_again_changes_nothing(params: Params) -> None:
    before, receipt, told = list_models(), registration.RECEIPT.read_bytes(), everything()
    register(params)
    assert list_models() == before
    assert everything() == told
    assert registration.RECEIPT.read_bytes() == receipt
    model = client().get_logged_model(client().get_model_version("cops", "1").source.removeprefix("models:/"))
    assert len(model.metrics) == 3


def line_3(model: str, scale: float = 1.0, count: int = 99) -> Calibration:
    """A calibration of a registered model, as if its pictures had been scored."""
    scores = [scale * (number + 0.123456789) / count for number in range(count)]
    return calibrate("LINE3", 0.01, scores, scores, checkpoint_sha256=file_sha256(resolve(model)))


def test_a_calibration_is_a_tag_of_its_version(params: Params) -> None:
    model = "models:/cops@champion"
    one = line_3(model, count=20_000)  # as long a text as there is
    assert keep(model, resolve(model), one) == "models:/cops/1, tag calibration.LINE3"
    assert find("models:/cops/1", resolve(model), "LINE3") == one
    assert client().get_model_version("cops", "1").tags["calibration.LINE3"].startswith('{"checkpoint_sha256"')
    with pytest.raises(UserError, match=r"LINE4: not of models:/cops/1, which has: LINE3"):
        find("models:/cops/1", resolve(model), "LINE4")
    with pytest.raises(UserError, match=r"LINE3: not of models:/anomalyclip@champion, which has: none"):
        find("models:/anomalyclip@champion", resolve("models:/anomalyclip@champion"), "LINE3")
    client().set_model_version_tag("cops", "1", "calibration.LINE4", "{}")
    with pytest.raises(UserError, match=r"models:/cops/1: tag calibration.LINE4: not a calibration"):
        of_model(model, resolve(model))
    client().delete_model_version_tag("cops", "1", "calibration.LINE4")


def test_a_new_checkpoint_is_challenger_until_promoted(params: Params) -> None:
    old = Path("data/checkpoints/cops/demo_source/seed_0.safetensors").read_bytes()
    make_cell(params, "cops", "demo_source", weight=9.0, losses=[1.5, 0.5], bonus=0.05)
    register(params)
    assert len(runs("cops/demo_source")) == 2
    description = client().get_model_version("cops", "2").description
    assert description.startswith("**Since the champion, version 1**")
    assert "- `lr`: 2.0 → 9.0" in description
    assert "| demo_texture | image_auroc | 0.700 | 0.750 | +0.050 |" in description
    assert aliases_of("cops") == {1: ("champion",), 2: ("challenger",)}
    assert resolve("models:/cops@challenger") == Path("data/checkpoints/cops/demo_source/seed_0.safetensors")
    assert resolve("models:/cops@champion").read_bytes() == old  # no longer on disk: from MLflow's artifacts
    assert not PROMOTIONS.exists()
    record = Path("data/checkpoints/cops/demo_source/checkpoint.json")
    kept = record.read_text()
    record.write_text(kept.replace(read_json(record)["files"]["0"], "other"))
    with pytest.raises(UserError, match="was trained again since; run `zsad register` first"):
        promote("cops")
    record.write_text(kept)
    assert of_model("models:/cops/2", resolve("models:/cops/2")) == {}  # it was made for other weights
    keep("models:/cops/2", resolve("models:/cops/2"), line_3("models:/cops/2", 0.5))
    assert promote("cops") == "cops: champion is now version 2 (was 1)"
    assert promote("cops") == "cops: version 2 is champion already"
    (promotion,) = read_json(PROMOTIONS)["cops"]
    assert "calibration.LINE3" not in promotion
    assert (KEPT / f"{promotion['checkpoint_sha256']}.safetensors").is_file()
    assert resolve("models:/cops@champion") == resolve("models:/cops/2")


def test_only_the_run_of_the_changed_configuration_is_replaced(params: Params) -> None:
    """The others move to the parent of the new state, which has all of it."""
    current, earlier = compared(), compared("tags.current = 'no'")
    assert sorted(current) == sorted(KEYS)
    assert list(earlier) == ["cops"]
    assert current["cops"].data.metrics["all/image_auroc"] == pytest.approx(0.8)
    parents = {run.info.run_id: run.data.tags["state"] for run in in_experiment("zsad", "tags.`zsad.kind` = 'results'")}
    (new,) = {run.data.tags["mlflow.parentRunId"] for run in current.values()}
    assert parents.keys() == {new, earlier["cops"].data.tags["mlflow.parentRunId"]}
    assert {run.data.tags["state"] for run in current.values()} == {parents[new]}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/cops", "write models:/KEY@champion"),
        ("models:/cops/latest", "write models:/KEY@champion"),
        ("models:/cosp@champion", "no such registered model; there are: anomalyclip, clip_zero, cops"),
        ("models:/cops_paper@champion", "no such registered model"),
        ("models:/cops@best", "no such alias; cops has: challenger, champion"),
        ("models:/cops/7", "no such version; cops has: 1, 2"),
    ],
)
def test_a_wrong_model_uri_says_what_there_is(params: Params, uri: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve(uri)


def test_the_served_model_takes_bytes_and_gives_score_and_heatmap(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Predictor:
        def predict_batch(self, images: list[bytes], category: str | None) -> list[SimpleNamespace]:
            return [SimpleNamespace(score=len(image) / 10, label=None, map=np.eye(3)) for image in images]

    loaded: list[Path] = []
    monkeypatch.setattr(zsad, "load", lambda path: loaded.append(Path(path)) or Predictor(), raising=False)
    with connection.open_store():
        model = mlflow.pyfunc.load_model("models:/cops@champion")
    first, second = model.predict([b"12", b"12345"])
    assert (first.score, second.score, first.label) == (0.2, 0.5, None)
    png = np.frombuffer(base64.b64decode(first.heatmap), np.uint8)
    assert np.array_equal(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), np.eye(3, dtype=np.uint8) * 255)
    assert loaded[0].name == "seed_0.safetensors"
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_checkpoint_that_is_not_the_recorded_one_is_refused(params: Params) -> None:
    path = Path("data/checkpoints/clip_zero/demo_source/seed_1.safetensors")
    content = path.read_bytes()
    path.write_bytes(content + b"more")
    with pytest.raises(
        UserError, match=r"seed_1\.safetensors: not the file .*dvc repro -f train@clip_zero-demo_source"
    ):
        register(params)
    path.write_bytes(content)


def test_a_store_that_does_not_answer_costs_seconds_and_one_line(
    params: Params, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def outcome(reason: str) -> None:
        started = time.monotonic()
        assert tracking.send(journal_path("cops", "demo_source")) is False
        assert time.monotonic() - started < 11
        out, err = capfd.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert reason in err
        assert "zsad track sync" in err

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for uri, reason in (
            ("http://127.0.0.1:9", "does not answer (NewConnectionError)"),
            (f"http://127.0.0.1:{silent.getsockname()[1]}", "does not answer (ReadTimeoutError)"),
            ("postgresql://me:secret@127.0.0.1:9/mlflow", "postgresql://127.0.0.1:9/mlflow: [Errno 111]"),
            ("./mlruns", "./mlruns"),
            (f"sqlite:///{Path('params.yaml').resolve()}", "file is not a database"),
            (f"sqlite:///{Path('params.yaml/mlflow.db').absolute()}", "Not a directory"),
        ):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            outcome(reason)
    receipt = registration.RECEIPT
    receipt.unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="does not answer"):
        register(params)
    assert not receipt.exists()


def test_a_locked_store_costs_seconds_and_one_line(params: Params, capfd: pytest.CaptureFixture[str]) -> None:
    connection = sqlite3.connect("mlflow.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    assert tracking.send(journal_path("cops", "demo_source")) is False
    connection.close()
    with FileLock("mlflow.db.lock"):
        assert tracking.send(journal_path("cops", "demo_source")) is False
    assert time.monotonic() - started < store.ANSWER_SECONDS + store.LOCK_SECONDS + 3
    assert capfd.readouterr().err.count("warning: not sent to MLflow") == 2
    assert tracking.send(journal_path("cops", "demo_source"))


def test_a_deleted_store_comes_back_from_the_files(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[tuple[Any, ...]]:
        return sorted((run.info.run_name, run.info.start_time, run.info.end_time, run.data.params) for run in runs())

    before, comparison = told(), [row for row in everything() if row[3].get("current") == "yes"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('second.db').absolute()}")  # as if mlflow.db were gone
    journal_path("clip_zero", "demo_source").unlink()
    assert tracking.sync(params) == {"runs": 5, "changed": 5, "rebuilt": 1}
    assert tracking.sync(params)["changed"] == 0
    after = told()
    assert [row[0] for row in after] == [row[0] for row in before]
    assert [row for row in after if row[0] != "clip_zero/demo_source"] == [
        row for row in before if row[0] != "clip_zero/demo_source"
    ]
    (rebuilt,) = runs("clip_zero/demo_source")
    assert rebuilt.data.tags["zsad.rebuilt"] == "from checkpoint.json"
    register(params)
    assert [row for row in everything() if row[3].get("current") == "yes"] == comparison
    assert aliases_of("cops") == {1: ("challenger", "champion")}


def test_a_run_names_its_checkpoints(params: Params) -> None:
    (run,) = runs("anomalyclip/demo_source")
    uri, folder = f"runs:/{run.info.run_id}", Path("data/checkpoints/anomalyclip/demo_source")
    assert resolve_run(uri) == folder / "seed_0.safetensors"
    assert resolve_run(f"{uri}/seed_1") == folder / "seed_1.safetensors"
    before = {seed: (folder / f"seed_{seed}.safetensors").read_bytes() for seed in (0, 1)}
    for seed in before:  # of the registered version, and of the run itself
        (folder / f"seed_{seed}.safetensors").unlink()
        stored = resolve_run(f"{uri}/checkpoints/seed_{seed}.safetensors")
        assert stored.read_bytes() == before[seed]
        one = calibrate("LINE3", 0.5, [0.1], [0.1], checkpoint_sha256=file_sha256(stored))
        assert Path(keep(f"{uri}/seed_{seed}", stored, one)).is_relative_to(CALIBRATIONS)  # not in MLflow's artifacts
        assert find(f"{uri}/seed_{seed}", stored, "LINE3") == one
    for seed, content in before.items():
        (folder / f"seed_{seed}.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="no seed 7 in this run; it has: 0, 1"):
        resolve_run(f"{uri}/seed_7")
    with pytest.raises(UserError, match="runs:/nothing: no such run"):
        resolve_run("runs:/nothing")


def test_a_promoted_champion_survives_the_loss_of_the_store(
    params: Params, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also when its checkpoint was overwritten since, and its journal is gone; but no other takes its place."""
    promoted = resolve("models:/cops@champion").read_bytes()
    make_cell(params, "cops", "demo_source", weight=11.0, losses=[1.4, 0.4])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('third.db').absolute()}")
    for _ in range(2):
        register(params)
        assert aliases_of("cops") == {1: ("challenger",), 2: ("champion",)}
    assert resolve("models:/cops@champion").read_bytes() == promoted
    assert resolve("models:/cops@challenger").read_bytes() != promoted
    assert find("models:/cops@champion", resolve("models:/cops@champion"), "LINE3").threshold < 0.5  # from its file
    assert "calibration.LINE3" not in client().get_model_version("cops", "1").tags
    assert aliases_of("anomalyclip") == {1: ("challenger", "champion")}

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('fourth.db').absolute()}")
    journal_path("cops", "demo_source").unlink()
    register(params)
    assert aliases_of("cops") == {1: ("challenger",), 2: ("champion",)}
    assert resolve("models:/cops@champion").read_bytes() == promoted

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('fifth.db').absolute()}")
    for file in KEPT.iterdir():
        file.unlink()
    capfd.readouterr()
    register(params)
    assert aliases_of("cops") == {1: ("challenger",)}
    assert "cops: no champion: the promoted checkpoint" in capfd.readouterr().err
    client().set_registered_model_alias("cops", "champion", "1")  # by hand: nothing may stand in for it
    register(params)
    assert aliases_of("cops") == {1: ("challenger",)}


def test_a_version_with_older_serving_code_gets_a_successor_with_the_same_weights(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('sixth.db').absolute()}")
    with monkeypatch.context() as before:
        before.setattr(registration, "SERVING_FORMAT", "1")
        register(params)
    assert aliases_of("anomalyclip") == {1: ("challenger", "champion")}
    model = "models:/anomalyclip@champion"
    keep(model, resolve(model), line_3(model))
    (CALIBRATIONS / file_sha256(resolve(model)) / "LINE3.calibration.json").unlink()  # made on another machine
    register(params)
    assert aliases_of("anomalyclip") == {1: (), 2: ("challenger", "champion")}
    assert find(model, resolve(model), "LINE3") == line_3(model)


def test_outside_a_repository_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with pytest.raises(UserError, match="set MLFLOW_TRACKING_URI"):
        store.store_uri()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert store.store_uri() == f"sqlite:///{(tmp_path / 'mlflow.db').resolve()}"
