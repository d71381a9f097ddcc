"""Which stages a run is about."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from zsad.common.errors import UserError
from zsad.pipeline.grid import stages
from zsad.pipeline.grid.stages import Stages

PIPELINE = """
stages:
  first:
    matrix: {letter: [a, b]}
    cmd: echo ${item.letter} > ${item.letter}.txt
    outs: ["${item.letter}.txt"]
  second:
    cmd: cat a.txt > second.txt
    deps: [a.txt]
    outs: [second.txt]
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The targets that DVC is asked for, in a repository of three stages."""
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    Path("dvc.yaml").write_text(PIPELINE)
    found: list[str] = []
    collect = stages.collect_stages

    def told(repo: Any, targets: Sequence[str]) -> list[Any]:
        found.extend(targets)
        return list(collect(repo, targets))

    monkeypatch.setattr(stages, "collect_stages", told)
    return found


def test_a_stage_by_its_name_costs_no_reading_of_the_lock_file(asked: list[str]) -> None:
    assert set(Stages(["second", "first@b"])) == {"first@a", "second", "first@b"}
    assert asked == []


def test_other_targets_are_as_dvc_understands_them(asked: list[str]) -> None:
    assert set(Stages(["first", "first@a"])) == {"first@a", "first@b"}
    assert set(Stages(["dvc.yaml"])) == set(Stages()) == {"first@a", "first@b", "second"}
    assert asked == ["first", "dvc.yaml"]
    with pytest.raises(UserError, match="third"):
        Stages(["third"])
