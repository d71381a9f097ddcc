"""CONTRIBUTING.md and docs/: what they point to exists."""

import re
from pathlib import Path

import pytest

from tests.helpers import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data/README.md"])
ROWS = re.findall(r"^\| (.*\?) \| (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)


def test_the_questions_are_read() -> None:
    assert len(ROWS) == 24


@pytest.mark.parametrize(("question", "answer"), ROWS, ids=[question for question, _ in ROWS])
def test_the_file_that_answers_exists_and_names_it(question: str, answer: str) -> None:
    file, *names = re.findall(r"`([^`]+)`", answer)
    text = (ROOT / file).read_text()
    assert [name for name in names if name.split(".")[-1] not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_source_files_that_pages_name_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # tells of files that are gone
        return
    named = set(re.findall(r"src/zsad[\w/]*(?:\.\w+)?", page.read_text()))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
