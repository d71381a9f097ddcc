"""The block `ensembles` of params.yaml: what it means, and what each mistake is told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import shipped
from zsad.common.errors import UserError
from zsad.config.ensemble import Ensemble
from zsad.config.params import Params, load_params
from zsad.evaluation.results import shown_row


def load(tmp_path: Path, ensembles: Any, **blocks: Any) -> Params:
    content = yaml.safe_load(shipped("params.yaml"))
    content |= {
        "learners": {"cops": {}, "clip_zero": {}, "cops_paper": {"method": "cops", "protocol": "paper"}},
        "few_shot": {"apt_2shot": {"method": "apt", "shots": 2}},
        "few_shot_of": {},
        "ensembles": ensembles,
        **blocks,
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load_params(tmp_path / "params.yaml")


def row(tmp_path: Path, **block: Any) -> Ensemble:
    found = load(tmp_path, {"mixed": block}).row("mixed")
    assert isinstance(found, Ensemble)
    return found


def test_it_is_a_row_and_no_configuration(tmp_path: Path) -> None:
    params = load(tmp_path, {"mixed": {"of": ["cops", "apt_2shot"]}})
    assert params.rows == ("cops", "clip_zero", "cops_paper", "apt_2shot", "mixed")
    assert "mixed" not in params.configurations
    with pytest.raises(UserError, match=r"ensembles.mixed: has no model of its own.*its members: cops, apt_2shot"):
        params.configuration("mixed")


def test_what_it_is_follows_from_its_members(tmp_path: Path) -> None:
    zero, few = row(tmp_path, of=["cops", "clip_zero"]), row(tmp_path, of=["cops_paper", "apt_2shot"], weights=[2, 1])
    assert (zero.protocol, zero.shots, zero.weights) == ("strict", 0, (1.0, 1.0))
    assert (few.protocol, few.shots, few.weights) == ("paper", 2, (2.0, 1.0))
    assert shown_row(zero) == "mixed: mean of cops, clip_zero"
    assert shown_row(few) == "mixed: mean of 2 × cops_paper, 1 × apt_2shot, APT (reconstruction)"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"of": ["cops"]}, "ensembles.x.of: List should have at least 2 items"),
        ({"of": ["cops", "cops"]}, "ensembles.x.of: Value error, each may stand there once"),
        (
            {"of": ["cops", "copps"]},
            "ensembles.x.of: 'copps' is under none of `learners`, `few_shot` and `few_shot_of`; there are",
        ),
        ({"of": ["cops", "y"]}, "ensembles.x.of: y is an ensemble itself; name its members"),
        ({"of": ["cops", "clip_zero"], "weights": [1]}, "`weights` has 1 numbers for 2 members; give one for each"),
        ({"of": ["cops", "clip_zero"], "weights": [1, 0]}, "ensembles.x.weights.1: Input should be greater than 0"),
        (
            {"of": ["cops", "clip_zero"], "weights": [1, float("inf")]},
            "ensembles.x.weights.1: Input should be a f",
        ),
        ({"off": ["cops", "clip_zero"]}, "unknown parameter 'ensembles.x.off'; did you mean 'of'?"),
        ({}, "ensembles.x.of: required, but not given"),
    ],
)
def test_mistakes_are_named_by_their_path(tmp_path: Path, block: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, {"x": block, "y": {"of": ["cops", "clip_zero"]}})
    assert expected in str(caught.value)


def test_a_key_names_one_row(tmp_path: Path) -> None:
    for key, block in (("cops", "learners"), ("apt_2shot", "few_shot")):
        with pytest.raises(UserError, match=rf"ensembles.{key}: stands under `{block}` as well; rename one of them"):
            load(tmp_path, {key: {"of": ["clip_zero", "cops_paper"]}})


def test_the_block_is_required_and_is_the_only_spelling(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ensembles: required; write `ensembles: \{\}` for no ensembles"):
        load(tmp_path, None)
    with pytest.raises(UserError, match=r"learners.x: Value error, an ensemble stands under `ensembles`"):
        load(tmp_path, {}, learners={"x": {"method": "ensemble", "of": ["cops", "clip_zero"]}})
