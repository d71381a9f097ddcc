"""What import-linter cannot see: the root holds rooms alone, each says what it may import, no method is left out."""

import tomllib
from pathlib import Path

import pytest

import zsad
from tests.helpers import ROOT
from zsad.learners.lookup import methods

PACKAGE = Path(zsad.__file__).parent
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["name"]: contract for contract in LINTER["contracts"]}
ROOMS = CONTRACTS["Rooms import downwards only, and there are no others"]["layers"]
LONGEST = 300  # lines of a file


def test_the_root_holds_rooms_and_nothing_else() -> None:
    found = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert found == {*ROOMS, "__init__.py", "__main__.py", "py.typed"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_lives_there_and_what_it_may_import(room: str) -> None:
    text = (PACKAGE / room / "__init__.py").read_text()
    assert text.startswith('"""')
    assert "ay import" in text or "Imports no other room" in text


def test_no_method_is_left_out_of_the_contract_that_keeps_them_apart() -> None:
    apart = CONTRACTS["A method knows no other method"]["modules"]
    assert {name.rpartition(".")[2] for name in apart} == set(methods()) - {"winclip_plus"}  # it builds on winclip


def test_no_file_is_long() -> None:
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > LONGEST} == {}


def test_names_of_neighbours_do_not_differ_by_their_ending_alone() -> None:
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        names = sorted({path.stem for path in folder.glob("[a-z]*.py")} - set(methods()))
        assert [(a, b) for a in names for b in names if a != b and b.startswith(a)] == [], folder
