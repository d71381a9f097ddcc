"""The command line: exit codes and what they come with."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import shipped
from zsad.cli import main as cli


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(shipped("params.yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("fetch nothing", "no datasets.nothing"),
        ("index demo_source", "data/raw/demo_source: not fetched yet; run `dvc repro fetch@demo_source`"),
        ("weights large", "backbones.large does not exist"),
        ("train copps demo_source", "learners.copps does not exist; did you mean 'cops'?"),
        ("train cops demo_source", "data/manifests/demo_source: no manifest"),
        ("predict cops demo_sauce", "datasets.demo_sauce does not exist; did you mean 'demo_source'?"),
        ("predict cops demo_texture", "dvc repro index@demo_texture"),
        ("predict cops photos/ more/", "is a key of params.yaml and takes one dataset"),
        (
            "predict cops demo_texture --object nut",
            "--object: is for your own pictures, not for cops; a dataset's class",
        ),
        ("predict clip_zero demo_texture --states a.yaml", "write `states` among the settings of the configuration"),
        ("predict nothing.safetensors photos/ --states a.yaml", "a.yaml: no such file"),
        (
            "predict cops demo_texture --pixel-threshold 0.5",
            "--pixel-threshold: is for your own pictures, not for",
        ),
        ("predict cops demo_texture --watch", "--watch: is for your own pictures, not for cops"),
        ("predict nothing.safetensors photos/ --format xlsx", "--format xlsx: one of csv, jsonl, parquet"),
        ("predict nothing.safetensors photos/", "nothing.safetensors: no such file"),
        ("score cops demo_texture", "run `dvc repro"),
        ("aggregate", "metrics/cells/clip_zero/demo_source.json: not found; run `dvc repro`"),
        ("compare cops", "compare: name two different configurations or more"),
        ("compare cops faprompt", "data/manifests/demo_source: no manifest of demo_source; run `dvc repro"),
        ("profile apply nothing.yaml", "nothing.yaml: no such file"),
    ],
)
def test_the_users_mistakes_exit_with_2_and_name_the_remedy(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_our_faults_exit_with_70_and_show_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("zsad.pipeline.stage_code.write_code", lambda *_: 1 / 0)
    assert cli.main(["code"]) == 70
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "fault of zsad" in error


def test_no_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2


def test_fetch_index_and_datasets(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fetch", "demo_medical"]) == 0
    assert cli.main(["index", "demo_medical"]) == 0
    assert "histology: 4 train, 8 normal, 13 anomalous, as expected" in capsys.readouterr().out
    assert cli.main(["datasets"]) == 0
    table = capsys.readouterr().out
    (row,) = [line for line in table.splitlines() if line.startswith("demo_medical")]
    assert "indexed" in row
    assert "image + pixel" in row
    assert table.splitlines()[-1] == "35 published sets are in the catalogue: zsad datasets --all"


def test_the_catalogue_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["datasets", "--all"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 35
    assert head.split() == ["id", "title", "domain", "pictures", "labels", "fetched", "licence"]
    (visa,) = [row for row in rows if row.startswith("visa ")]
    assert all(told in visa for told in ("industrial", "962 normal, 1200 anomalous", "image + pixel", "download"))


def test_a_contract_is_no_method(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = yaml.safe_load(shipped("params.yaml"))
    content["learners"]["odd"] = {"method": "base"}
    (repository / "params.yaml").write_text(yaml.safe_dump(content))
    assert cli.main(["code"]) == 2
    assert (
        "learners.odd: method 'base' does not exist; there are: aa_clip, ada_clip, adapt_clip, anomalyclip, april_gan"
        in capsys.readouterr().err
    )


def test_a_faulty_entry_stops_no_other_set(repository: Path) -> None:
    content = yaml.safe_load(shipped("params.yaml"))
    content["datasets"]["mine"] = {"kind": "official", "path": "mine.yaml"}
    (repository / "params.yaml").write_text(yaml.safe_dump(content))
    (repository / "mine.yaml").write_text("titel: oops")
    assert cli.main(["fetch", "demo_texture"]) == 0
    assert cli.main(["fetch", "mine"]) == 2
