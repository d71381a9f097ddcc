"""Own words: what a file of states may hold, and what is said of one that does not."""

from pathlib import Path

import pytest

from zsad.common.errors import UserError
from zsad.learners.lookup import build_config
from zsad.learners.shared.states import ANOMALOUS_STATES, TEMPLATES, read_states

OWN = {"normal": ["clean {}", "{} as new"], "anomalous": ["{} with a scratch"]}


def test_a_file_replaces_the_lists_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text('normal:\n- clean {}\n- "{} as new"\n')
    states = read_states(tmp_path / "words.yaml")
    assert states.normal == OWN["normal"]
    assert (states.anomalous, states.templates) == (list(ANOMALOUS_STATES), list(TEMPLATES))
    assert read_states(OWN).anomalous == OWN["anomalous"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"words\.yaml: holds no states; write `normal:`"),
        ("- clean {}", r"words\.yaml: holds no states; write `normal:`"),
        ("normal:\n- {}", r"words\.yaml: normal\.0: .*is a mapping to YAML; put quotes around"),
        ("normal:\n- {} as new", r"words\.yaml: not valid YAML: .*put quotes around"),
        ("normal: clean {}", r"words\.yaml: normal: Input should be a valid list, got 'clean {}'"),
        ("normal: []", r"words\.yaml: normal: List should have at least 1 item"),
        ("anomalous:\n- damaged {}\n- scratched", r"anomalous\.1: .*write {} once, where .*, got 'scratched'"),
        ("anomalous:\n- damaged {name}", r"anomalous\.0: .*write {} once, where the object goes, and no other braces"),
        ("templates:\n- a {} of a {}.", r"templates\.0: .*write {} once"),
        ("anomalus:\n- damaged {}", r"unknown parameter 'anomalus'; did you mean 'anomalous'\?"),
        ("normal:\n- 3", r"normal\.0: Input should be a valid string, got 3"),
    ],
)
def test_every_mistake_is_named_with_file_key_and_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "words.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"(?s){complaint}") as caught:
        read_states(tmp_path / "words.yaml")
    assert "words.yaml" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("normal: [{} für}]".encode("latin-1"))
    for name, complaint in (("none.yaml", "no such file"), ("latin.yaml", "not valid YAML"), ("", "cannot be read")):
        with pytest.raises(UserError, match=complaint):
            read_states(tmp_path / name)


def test_as_a_setting_mistakes_are_named_by_their_place_in_params_yaml() -> None:
    assert build_config("clip_zero", {"states": OWN}, "learners.mine").states == read_states(OWN)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"params\.yaml: learners\.mine\.states\.normal\.0: .*write {} once"):
        build_config("winclip", {"states": {"normal": ["new"]}}, "learners.mine")
    with pytest.raises(UserError, match=r"unknown parameter 'learners\.mine\.states\.norml'; did you mean 'normal'"):
        build_config("winclip", {"states": {"norml": ["new {}"]}}, "learners.mine")
    with pytest.raises(UserError, match=r"params\.yaml: unknown parameter 'learners\.mine\.states'"):
        build_config("cops", {"states": OWN}, "learners.mine")
