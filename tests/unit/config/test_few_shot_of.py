"""The block `few_shot_of` of params.yaml: what it means, and what each mistake is told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from zsad.common.errors import UserError
from zsad.config.params import Params, load_params
from zsad.learners.lookup import check_settings

BACKBONE = {"name": "embedded", "pretrained": "embedded", "image_size": 112}


def load(tmp_path: Path, few_shot_of: Any, **blocks: Any) -> Params:
    content = {
        "seeds": [0, 1],
        "backbones": {"default": BACKBONE, "large": BACKBONE},
        "sources": {"a": {}, "b": {}},
        "datasets": {name: {"path": "x", "source": "b" if name == "a" else "a"} for name in ("a", "b", "c")},
        "learners": {
            "adapt_clip": {"backbone": "large", "epochs": 3, "per_source": {"b": {"epochs": 5}}},
            "mine": {"method": "adapt_clip", "source": "b", "protocol": "paper"},
            "cops": {},
        },
        "few_shot": {"apt_2shot": {"method": "apt", "shots": 2}},
        "few_shot_of": few_shot_of,
        "ensembles": {},
        "gate": {"cell": {}, "mean": {}},
        **blocks,
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load_params(tmp_path / "params.yaml")


def test_a_form_is_its_learner_with_shots(tmp_path: Path) -> None:
    params = load(tmp_path, {"x": {"of": "adapt_clip", "shots": 2}, "y": {"of": "mine", "shots": 1}})
    form, learner = params.configuration("x"), params.configuration("adapt_clip")
    assert (form.method, form.backbone_key, form.settings) == ("adapt_clip", "large", {"epochs": 3})
    assert (form.shots, form.of, form.where) == (2, "adapt_clip", "few_shot_of.x")
    assert [form.source_for(params, name) for name in "abc"] == ["a", "b", "c"]
    assert [form.auxiliary(params, name) for name in "abc"] == ["b", "a", "a"]
    assert [params.configuration("y").auxiliary(params, name) for name in "abc"] == ["b", "b", "b"]
    assert params.configuration("y").protocol == "paper"
    assert [learner.auxiliary(params, name) for name in "abc"] == ["b", "a", "a"]
    assert params.configuration("apt_2shot").auxiliary(params, "a") is None
    assert params.configurations == ("adapt_clip", "mine", "cops", "apt_2shot", "x", "y")
    assert params.adapted == ("apt_2shot", "x", "y")
    assert len({params.configuration(key).hash(params) for key in params.configurations}) == 6
    check_settings(params)


def test_without_forms_no_hash_changes(tmp_path: Path) -> None:
    """Hashes stand in result files: these two are those of the time before forms were known."""
    params = load(tmp_path, {})
    found = [params.configuration(key).hash(params) for key in ("cops", "apt_2shot")]
    assert found == ["ec0f6df6716cc7ca", "77ce16b1298e7a3d"]


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (
            {"of": "adapt_clp", "shots": 1},
            "few_shot_of.x.of: 'adapt_clp' is not under `learners`; there are: adapt_clip",
        ),
        ({"of": "apt_2shot", "shots": 1}, "few_shot_of.x.of: 'apt_2shot' is not under `learners`"),
        ({"of": "adapt_clip", "shots": 0}, "few_shot_of.x.shots: Input should be greater than or equal to 1"),
        ({"of": "adapt_clip"}, "few_shot_of.x.shots: required, but not given"),
        ({"of": "adapt_clip", "shots": 1, "epochs": 3}, "unknown parameter 'few_shot_of.x.epochs'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, block: Any, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, {"x": block})
    assert complaint in str(caught.value)


def test_a_method_without_a_form_is_refused(tmp_path: Path) -> None:
    params = load(tmp_path, {"x": {"of": "cops", "shots": 1}})
    complaint = r"few_shot_of\.x\.of: cops has no few-shot form; these methods have one: adapt_clip"
    with pytest.raises(UserError, match=complaint):
        check_settings(params)


@pytest.mark.parametrize(("key", "block"), [("cops", "learners"), ("apt_2shot", "few_shot")])
def test_a_key_names_one_configuration(tmp_path: Path, key: str, block: str) -> None:
    with pytest.raises(UserError, match=rf"few_shot_of\.{key}: stands under `{block}` as well; rename one of them"):
        load(tmp_path, {key: {"of": "adapt_clip", "shots": 1}})


def test_the_block_may_be_empty_but_not_absent(tmp_path: Path) -> None:
    assert load(tmp_path, {}).few_shot_of == {}
    with pytest.raises(UserError, match=r"few_shot_of: required; write `few_shot_of: \{\}` for no few-shot forms"):
        load(tmp_path, None)


def test_a_form_may_be_in_an_ensemble(tmp_path: Path) -> None:
    params = load(tmp_path, {"x": {"of": "mine", "shots": 4}}, ensembles={"both": {"of": ["cops", "x"]}})
    assert (params.row("both").shots, params.row("both").protocol) == (4, "paper")
