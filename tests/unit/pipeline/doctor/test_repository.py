"""What the doctor says of a repository, of each thing the case in which it is missing."""

import json
import shutil
import sqlite3
import subprocess
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from tests.helpers.http_server import File, Server
from tests.unit.pipeline.doctor.conftest import PARAMS
from zsad.cli.main import main
from zsad.common.io import write_json
from zsad.config.params import Params
from zsad.datasets.catalogue import catalogue
from zsad.datasets.licences import accept
from zsad.pipeline.doctor import pictures
from zsad.pipeline.doctor.examine import examine
from zsad.pipeline.doctor.finding import Finding
from zsad.pipeline.doctor.frozen_clips import check_frozen_clips
from zsad.pipeline.doctor.pictures import check_pictures
from zsad.pipeline.doctor.records import OUTDATED, check_records
from zsad.pipeline.doctor.remote import ask_dvc, check_remote
from zsad.pipeline.doctor.repository import check_git
from zsad.tracking.migrations import newest_migration

Disk = namedtuple("Disk", "free")


def params(**changes: Any) -> Params:
    return Params.model_validate({**PARAMS, **changes})


def test_a_fresh_repository_lacks_nothing_that_the_pipeline_does_not_bring(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git("init", "-q")
    git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "--allow-empty", "-m", "start")
    assert main(["doctor", "--json"]) == 0
    told = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    later = {"weights default", "dataset demo_source", "dataset demo_texture", "MLflow store"}
    assert {what for what, finding in told.items() if finding["level"] == "later"} == later
    assert told["dataset demo_texture"]["remedy"] == "zsad repro fetch@demo_texture"


def test_outside_a_repository_it_looks_at_the_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "params.yaml" in out
    assert "dataset" not in out.replace("datasets", "")


def test_broken_parameters_are_a_finding(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("seeds: 3\n")
    assert main(["doctor"]) == 2
    assert "missing: params.yaml" in capsys.readouterr().out
    assert "Git" in {finding.what for finding in examine()}


def clip_finding(**backbone: Any) -> Finding:
    wanted = {"name": "tiny", "pretrained": "openai", "image_size": 48, **backbone}
    (finding,) = check_frozen_clips(params(backbones={"default": wanted}))
    return finding


def test_frozen_clips(repository: Path, backbone: Callable[..., Path]) -> None:
    absent = clip_finding()
    assert (absent.level, absent.remedy) == ("later", "zsad repro weights@default")
    shutil.copytree(backbone(), "data/weights/default")
    assert clip_finding().level == "ok"
    assert clip_finding(name="other").state == "data/weights/default holds tiny, params.yaml wants other (openai)"
    with Path("data/weights/default/open_clip_model.safetensors").open("ab") as file:
        file.write(b"more")
    changed = clip_finding()
    assert (changed.level, changed.remedy) == ("missing", "zsad weights default")
    Path("data/weights/default/backbone.json").unlink()
    assert "backbone.json is not readable" in clip_finding().state


def dataset(block: dict[str, Any], key: str = "mine") -> Finding:
    found = list(check_pictures(params(datasets={**PARAMS["datasets"], key: block})))
    (finding,) = [finding for finding in found if finding.what == f"dataset {key}"]
    return finding


def test_datasets_of_ones_own(repository: Path) -> None:
    missing = dataset({"path": "parts"})
    assert (missing.level, missing.remedy) == ("missing", "correct datasets.mine.path in params.yaml")
    Path("parts").mkdir()
    assert dataset({"path": "parts"}).remedy == "zsad repro fetch@mine"
    Path("data/raw/mine").mkdir(parents=True)
    assert dataset({"path": "parts"}).remedy == "zsad repro index@mine"
    facts = {"counts": {"a": {"train": 1, "normal": 2, "anomalous": 3}}, "labels": {"image": True}, "hash": "h"}
    write_json(Path("data/manifests/mine/dataset.json"), {**facts, "domain": "industrial"})
    assert dataset({"path": "parts"}).level == "ok"


def published(key: str) -> Finding:
    return dataset({"kind": "official", "path": f"src/zsad/datasets/entries/{key}.yaml"}, key)


def test_published_datasets(repository: Path) -> None:
    asking = next(name for name, entry in catalogue().items() if entry.licence.accept)
    unaccepted = published(asking)
    assert (unaccepted.level, unaccepted.remedy) == ("missing", f"zsad fetch {asking} --accept-licence {asking}")
    by_hand = [name for name, e in catalogue().items() if all(source.kind == "manual" for source in e.fetch)]
    accept(by_hand[0], catalogue()[by_hand[0]])
    lacking = published(by_hand[0])
    assert (lacking.level, f"into data/drop/{by_hand[0]}/" in lacking.remedy) == ("missing", True)
    Path(f"data/drop/{by_hand[0]}").mkdir(parents=True)
    Path(f"data/drop/{by_hand[0]}/archive.zip").write_bytes(b"x")
    assert published(by_hand[0]).remedy == f"zsad repro fetch@{by_hand[0]}"
    assert published("mvtec").level in ("later", "missing")


def test_room_for_the_datasets_to_come(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, entry = next((k, e) for k, e in catalogue().items() if pictures.published_size(e))
    block = {key: {"kind": "official", "path": f"src/zsad/datasets/entries/{key}.yaml"}}
    size = pictures.published_size(entry) or 0

    def disk(free: int) -> Finding:
        monkeypatch.setattr(pictures.shutil, "disk_usage", lambda _: Disk(free))
        return list(check_pictures(params(datasets={**PARAMS["datasets"], **block})))[-1]

    assert disk(3 * size).level == "ok"
    assert (disk(3 * size - 1).level, "data/README.md" in disk(3 * size - 1).remedy) == ("missing", True)
    Path("data/raw", key).mkdir(parents=True)
    assert disk(0).level == "ok"


def make_store(migration: str | None) -> None:
    Path("mlflow.db").unlink(missing_ok=True)
    with sqlite3.connect("mlflow.db") as store:
        store.execute("CREATE TABLE alembic_version (version_num TEXT)")
        store.execute("INSERT INTO alembic_version VALUES (?)", (migration,))


def test_the_store_of_mlflow(repository: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_records().level == "later"
    make_store(newest_migration())
    assert check_records().level == "ok"
    make_store("of another version")
    assert (check_records().level, check_records().remedy) == ("missing", OUTDATED)
    Path("mlflow.db").write_text("no database, but long enough to be taken for a header " * 9)
    assert (check_records().level, "not a database" in check_records().state) == ("missing", True)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.put("/version", File(b"3.17.0")).removesuffix("/version"))
    assert check_records().state.startswith(f"http://127.0.0.1:{server.server_address[1]} answers: MLflow 3.17.0, here")
    for uri, reason in (
        ("http://me:word@127.0.0.1:9", "http://127.0.0.1:9 does not answer"),
        ("postgresql://127.0.0.1:9/mlflow", "Connection refused"),
        ("./mlruns", "neither a database nor a server"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert (check_records().level, reason in check_records().state) == ("missing", True)


def test_a_store_that_another_process_holds(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_store(newest_migration())
    monkeypatch.setattr("zsad.tracking.store.ANSWER_SECONDS", 0.1)
    holder = sqlite3.connect("mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert (check_records().level, "locked" in check_records().state) == ("missing", True)
    holder.close()
    with FileLock("mlflow.db.lock"):  # of a zsad process that sends: that is no fault
        assert check_records().level == "ok"


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def test_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_git().state == "no repository here"
    git("init", "-q")
    assert check_git().state == "no commit yet"
    git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "--allow-empty", "-m", "start")
    assert (check_git().level, check_git().remedy) == ("optional", "git fetch origin main")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert check_git().level == "ok"
    monkeypatch.setenv("PATH", str(repository))
    assert check_git().state == "not installed; DVC and the gate need it"


def remote(url: str, config: str = "config", name: str = "away") -> None:
    Path(".dvc").mkdir(exist_ok=True)
    Path(".dvc", config).write_text(
        f"[core]\n    no_scm = true\n    remote = {name}\n['remote \"away\"']\n    url = {url}\n"
    )


def test_dvcs_remote(repository: Path) -> None:
    assert check_remote(False).level == "optional"
    remote("s3://bucket/results")
    assert (check_remote(False).level, check_remote(False).remedy) == ("missing", "pip install dvc-s3")
    remote("https://results.example/dvc")
    assert check_remote(False).state == "away at https://results.example/dvc, not asked"
    remote("../shared", "config.local")
    assert (check_remote(False).level, check_remote(False).state) == ("missing", "away: no folder .dvc/../shared")
    Path("shared").mkdir()
    assert check_remote(True).level == "ok"
    remote("../shared", "config.local", name="other")
    assert check_remote(False).state == "other is the default, but is not configured"


def test_dvcs_remote_is_asked_when_that_is_wanted(repository: Path, server: Server) -> None:
    remote(server.put("/dvc", File(b"")))
    assert check_remote(True).state.endswith("answers")
    remote("http://127.0.0.1:9/dvc")
    silent = check_remote(True)
    assert (silent.level, "does not answer (ConnectionError)" in silent.state) == ("missing", True)


def test_dvc_asks_where_only_dvc_can(repository: Path) -> None:
    remote("../shared")
    assert ask_dvc("away", "../shared") == ""  # nothing was pushed yet
    remote("nowhere://results")
    assert (check_remote(True).level, "nowhere" in check_remote(True).state) == ("missing", True)


def test_an_entry_that_cannot_be_read_is_a_finding(repository: Path) -> None:
    block = {"kind": "official", "path": "no_such_entry.yaml"}
    text = yaml.safe_dump({**PARAMS, "datasets": {**PARAMS["datasets"], "mine": block}})
    Path("params.yaml").write_text(text)
    (finding,) = [finding for finding in examine() if finding.what == "datasets"]
    assert (finding.level, "no_such_entry.yaml: no such file" in finding.state) == ("missing", True)
