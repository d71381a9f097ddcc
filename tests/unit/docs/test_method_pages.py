"""docs/methods: every method has a page, and its table of settings is what the code says."""

from typing import Literal

import pytest
from pydantic import Field

from tests.helpers import method_pages
from tests.helpers.method_pages import PAGES, table, with_table
from zsad.config.schema import Block
from zsad.learners.lookup import methods

METHODS = methods()


@pytest.mark.parametrize("method", METHODS)
def test_the_table_of_settings_is_what_the_code_says(method: str) -> None:
    path = PAGES / f"{method}.md"
    assert path.is_file(), f"write docs/methods/{method}.md: the idea, its traps, what was verified"
    page = path.read_text(encoding="utf-8")
    assert page == with_table(page, method), "run `make docs`"


def test_every_page_has_its_method() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} - {"README"} == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_the_list_of_pages_names_it(method: str) -> None:
    assert f"]({method}.md)" in (PAGES / "README.md").read_text(encoding="utf-8")


def test_a_table_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config(Block):
        lr: float = Field(default=0.001, gt=0, lt=1)
        """How fast,
        on | off."""
        mode: Literal["a", "b"] = "a"
        """Which."""
        pair: tuple[float, float] = (0.5, 0.9)
        """Two."""
        layers: tuple[int, ...] | None = None
        """Some."""
        exact: bool = True
        """Whether."""

    monkeypatch.setattr(method_pages, "learner_class", lambda method: type("Mine", (), {"Config": Config}))
    assert table("mine").splitlines() == [
        "| name | type | default | meaning |",
        "|---|---|---|---|",
        r"| `lr` | float, > 0, < 1 | `0.001` | How fast, on \| off. |",
        "| `mode` | `a`, `b` | `a` | Which. |",
        "| `pair` | 2 of float | `[0.5, 0.9]` | Two. |",
        "| `layers` | list of int or null | `null` | Some. |",
        "| `exact` | bool | `true` | Whether. |",
    ]


def test_what_a_page_or_a_field_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config(Block):
        lr: float = 0.001

    with pytest.raises(AssertionError, match=r"docs/methods/cops\.md: wants <!-- parameters -->"):
        with_table("no table here", "cops")
    monkeypatch.setattr(method_pages, "learner_class", lambda method: type("Mine", (), {"Config": Config}))
    with pytest.raises(AssertionError, match="mine: say below `lr` in its Config what it means"):
        table("mine")
