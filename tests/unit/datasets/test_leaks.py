"""A target's test picture that was learned from: refused under strict, told under paper, noted when indexing."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.workplace import params as one_configuration
from tests.helpers.workplace import workplace as prepared
from zsad.common.errors import UserError
from zsad.common.io import read_json
from zsad.config.params import Params
from zsad.config.schema import DatasetParams
from zsad.datasets.leaks import PICTURES, check_leaks, leak_notes, record_pictures
from zsad.datasets.manifest import Manifest, Row, load_manifest, write_manifest
from zsad.inference.predict import predict
from zsad.training.train import train


def row(path: str, pixel_hash: str, split: str = "test", label: int = 0, mask: str = "") -> Row:
    return Row(path, "c", "c", label, mask, split, "", 8, 8, pixel_hash)


def manifest(name: str, *rows: Row) -> Manifest:
    facts = {"kind": "folder", "domain": "d", "root": Path("x"), "has_image_labels": True, "has_pixel_labels": True}
    rest = {"size": (8, 8), "mask_rule": "gt127", "hash": "h", "counts": {}, "notes": ()}
    return Manifest(name, **facts, **rest, rows=rows)


TARGET = manifest(
    "target", row("t/0.png", "aa"), row("t/1.png", "bb", label=1, mask="m"), row("t/2.png", "cc", "train")
)


def test_source_pictures_in_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_pictures(tmp_path, "source", [row("s/5.png", "bb"), row("s/6.png", "cc"), row("s/7.png", "dd")])
    with pytest.raises(
        UserError, match=r"1 test picture of target seen in training on source: s/5\.png = t/1\.png;"
    ) as e:
        check_leaks(tmp_path, "strict", TARGET)
    assert "name another source for target in params.yaml, or give the configuration `protocol: paper`" in str(e.value)
    check_leaks(tmp_path, "paper", TARGET)
    assert "s/5.png = t/1.png; scored all the same under protocol paper" in capsys.readouterr().err


def test_no_shared_picture_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rows in ([row("s/6.png", "cc")], []):
        record_pictures(tmp_path, "source", rows)
        check_leaks(tmp_path, "strict", TARGET)
    assert capsys.readouterr().err == ""


def test_support_of_a_few_shot_method(tmp_path: Path) -> None:
    record_pictures(tmp_path, "target", TARGET.train)
    check_leaks(tmp_path, "strict", TARGET)
    leaking = replace(TARGET, rows=(*TARGET.rows, row("t/3.png", "cc")))
    with pytest.raises(UserError, match=r"1 test picture of target seen in training on target: t/2\.png = t/3\.png"):
        check_leaks(tmp_path, "strict", leaking)


def test_checkpoint_without_its_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pictures\.json: not found; run `dvc repro`"):
        check_leaks(tmp_path, "strict", TARGET)


def params(*keys: str) -> Params:
    made = one_configuration("clip_zero", 48, "cpu", 1)
    return made.model_copy(update={"datasets": {key: DatasetParams(path="x") for key in keys}})


def test_index_notes_what_is_shared_with_manifests_that_are_there(tmp_path: Path) -> None:
    everything, source = (
        params("source", "target", "other"),
        manifest("source", row("s/0.png", "aa"), row("s/1.png", "bb", "train")),
    )
    write_manifest(TARGET, tmp_path)
    assert list(leak_notes(everything, TARGET, tmp_path)) == []
    write_manifest(source, tmp_path)
    write_manifest(manifest("other", row("o/0.png", "aa")), tmp_path)
    told = "1 test picture of target seen in training on source: s/0.png = t/0.png; `strict` refuses to score them"
    assert list(leak_notes(everything, TARGET, tmp_path)) == [told]
    assert list(leak_notes(everything, source, tmp_path)) == [told, told.replace("target", "other").replace("t/", "o/")]


def test_trained_and_predicted_for_real(tmp_path: Path, backbone) -> None:  # type: ignore[no-untyped-def]
    """Training records what it saw; a target that holds one of these pictures is not predicted."""
    with prepared(tmp_path, backbone(family="other"), 4):
        source, made = load_manifest("source"), one_configuration("anomalyclip", 48, "cpu", 1)
        made = made.model_copy(update={"datasets": {**made.datasets, "target": DatasetParams(path="pictures")}})
        train(made, "mine", "source", lambda event, **fields: None)
        seen = read_json(Path("data/checkpoints/mine/source") / PICTURES)
        assert seen == {"dataset": "source", "pictures": {row.path: row.pixel_hash for row in source.test}}
        rows = [replace(row, pixel_hash=f"new {row.path}") for row in source.rows]
        write_manifest(replace(source, dataset="target", rows=(*rows[:2], source.rows[2])))
        with pytest.raises(UserError, match=r"mine/source: 1 test picture of target .*: 2\.png = 2\.png"):
            predict(made, "mine", "target")
        assert not Path("data/predictions").exists()
        write_manifest(replace(source, dataset="target", rows=tuple(rows[:2])))
        predict(made, "mine", "target")
        assert Path("data/predictions/mine/target").is_dir()
