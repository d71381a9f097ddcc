"""Other names for the classes of a dataset."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import shipped
from zsad.common.errors import UserError
from zsad.config.params import Params, load_params
from zsad.datasets.class_names import under_other_names
from zsad.datasets.manifest import Manifest, Row

NAMES = {"a_part": "gear", "b_part": "cork", "c_part": "gear", "d_part": "tile"}  # two categories share a name


def manifest(names: dict[str, str]) -> Manifest:
    rows = tuple(
        Row(f"{category}/{split}.png", category, name, 0, "", split, "", 8, 8, f"{category}{split}")
        for category, name in names.items()
        for split in ("train", "test")
    )
    facts: dict[str, Any] = {"has_image_labels": True, "has_pixel_labels": True, "size": (8, 8), "mask_rule": "gt127"}
    return Manifest("parts", "folder", "parts", Path("p"), **facts, hash="h", counts={}, notes=(), rows=rows)


def named(of: Manifest, **namings: Any) -> dict[str, dict[str, str]]:
    """{naming: {category: name}}."""
    found = dict(under_other_names(of, namings))
    return {key: {row.category: row.prompt_name for row in other.rows} for key, other in found.items()}


def test_missing_wrong_and_translated() -> None:
    german = {"cork": "Kork", "gear": "Zahnrad", "tile": "Fliese", "bottle": "Flasche"}
    found = named(manifest(NAMES), missing="object", wrong="other", german=german)
    assert set(found["missing"].values()) == {"object"}
    assert found["wrong"] == {"a_part": "tile", "b_part": "gear", "c_part": "tile", "d_part": "cork"}
    assert found["german"] == {"a_part": "Zahnrad", "b_part": "Kork", "c_part": "Zahnrad", "d_part": "Fliese"}


def test_nothing_but_the_names_changes() -> None:
    own = manifest(NAMES)
    ((_, other),) = under_other_names(own, {"missing": "object"})
    assert replace(other, rows=own.rows) == own
    assert [replace(row, prompt_name="") for row in other.rows] == [replace(row, prompt_name="") for row in own.rows]


def test_a_set_with_one_name_has_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert named(manifest({"a_part": "gear", "c_part": "gear"}), wrong="other", missing="object").keys() == {"missing"}
    assert "class_names.wrong: parts has one class name alone" in capsys.readouterr().err


def test_a_word_that_the_table_lacks_is_named() -> None:
    with pytest.raises(UserError, match=r"params\.yaml: class_names\.german: no word for gear, tile of parts; add it"):
        named(manifest(NAMES), german={"cork": "Kork"})


@pytest.mark.parametrize("naming", ["objects", "", {}, {"cork": 3}, {"cork": ""}, ["object"], None])
def test_a_naming_that_is_none_is_refused_with_its_place(tmp_path: Path, shipped_params: dict, naming: Any) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: class_names\.mine: .*write `object`, `other`, or a table"):
        written(tmp_path, shipped_params | {"class_names": {"mine": naming}})


def test_without_class_names_there_are_none(tmp_path: Path, shipped_params: dict) -> None:
    assert written(tmp_path, shipped_params).class_names == {}
    table = {"cork": "Kork"}
    namings = {"missing": "object", "german": table}
    assert written(tmp_path, shipped_params | {"class_names": namings}).class_names == namings


@pytest.fixture
def shipped_params() -> dict[str, Any]:
    content = yaml.safe_load(shipped("params.yaml"))
    content.pop("class_names", None)
    return dict(content)


def written(place: Path, content: dict[str, Any]) -> Params:
    (place / "params.yaml").write_text(yaml.safe_dump(content))
    return load_params(place / "params.yaml", Path("params.yaml"))
