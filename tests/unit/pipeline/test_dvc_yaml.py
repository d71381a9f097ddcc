"""dvc.yaml: short, without a list of source files, and every stage depends on its own digest."""

import re
from typing import Any

import pytest
import yaml

from tests.helpers import ROOT
from zsad.pipeline.stage_code import ENTRIES

TEXT = (ROOT / "dvc.yaml").read_text()
STAGES: dict[str, Any] = {name: stage.get("do", stage) for name, stage in yaml.safe_load(TEXT)["stages"].items()}
BY_KEY = {"fetch": "${key}", "index": "${key}", **dict.fromkeys(("train", "adapt", "predict"), "${item.learner}")}


def test_it_reads_in_a_minute() -> None:
    assert len(TEXT.splitlines()) <= 130


def test_only_the_stage_code_depends_on_source_files() -> None:
    assert STAGES["code"]["deps"] == ["params.yaml", "src"]
    assert [name for name, stage in STAGES.items() if any(dep.startswith("src") for dep in stage["deps"])] == ["code"]


@pytest.mark.parametrize("name", sorted(STAGES.keys() - {"code"}))
def test_a_stage_depends_on_the_digest_of_its_entry(name: str) -> None:
    stage = re.sub("_(few_shot|ensemble|trained|adapted)$", "", name)
    key = "${key}" if "foreach" in yaml.safe_load(TEXT)["stages"][name] else BY_KEY.get(stage)
    own = f"data/code/{stage}/{key}.json" if stage in BY_KEY else f"data/code/{stage}.json"
    assert [dep for dep in STAGES[name]["deps"] if dep.startswith("data/code")] == [own]
    assert re.match(rf"zsad {stage}( |$)", STAGES[name]["cmd"])
    assert stage in ENTRIES


def test_a_set_is_fetched_again_when_its_block_changes() -> None:
    assert STAGES["fetch"]["params"] == ["datasets.${key}"]  # single keys would have to stand in every block
