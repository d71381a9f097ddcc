"""Digests of code: what changes them and what does not, on a small package of its own."""

from pathlib import Path

import pytest

from zsad.common import code_digest as source

MODULE = """
import os
from zsad.part import helper


def answer(n: int) -> int:
    return helper(n) + 1
"""
FILES = {
    "zsad/__init__.py": "VERSION = 1\n",
    "zsad/room/__init__.py": "",
    "zsad/room/entry.py": "from zsad.main import answer\n\n\ndef run():\n    import zsad.room.late\n",
    "zsad/room/late.py": "LATE = 1\n",
    "zsad/main.py": MODULE,
    "zsad/part.py": "def helper(n):\n    return n\n",
    "zsad/other.py": "X = 1\n",
}


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(source, "SOURCE", tmp_path)
    return tmp_path


def fresh(*entries: str, apart: tuple[str, ...] = ()) -> str:
    """As another process would see it."""
    source._read.cache_clear()
    source._file.cache_clear()
    return source.digest(*entries, apart=apart)


def test_everything_imported_counts_and_nothing_else() -> None:
    source._read.cache_clear()
    source._file.cache_clear()
    assert list(source.made_of("zsad.room.entry")) == [
        "zsad.main", "zsad.part", "zsad.room", "zsad.room.entry", "zsad.room.late",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "# a remark\n" + MODULE,
        '"""What it is for."""\n' + MODULE,
        MODULE.replace("    return", '    """One more."""\n    return'),
        MODULE.replace("\n\n\ndef", "\n\ndef"),
        MODULE.replace("helper(n) + 1", "(\n        helper(\n            n,\n        )\n        + 1\n    )"),
        MODULE + '\n"a string that nobody reads"\n',
    ],
)
def test_remarks_docstrings_and_formatting_change_nothing(package: Path, text: str) -> None:
    before = fresh("zsad.room.entry")
    (package / "zsad/main.py").write_text(text)
    assert fresh("zsad.room.entry") == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("main", "+ 1", "+ 2"),
        ("main", "n: int", "n: float"),
        ("part", "return n", "return -n"),
        ("room/late", "1", "1.0"),
        ("room/__init__", "", "X = 3"),
        ("main", "import os\n", "import os\nimport zsad.other\n"),
    ],
)
def test_a_changed_line_changes_the_digest(package: Path, name: str, old: str, new: str) -> None:
    before = fresh("zsad.room.entry")
    file = package / f"zsad/{name}.py"
    file.write_text(file.read_text().replace(old, new) if old else new)
    assert fresh("zsad.room.entry") != before


def test_what_only_type_checkers_read_is_not_followed(package: Path) -> None:
    more = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from zsad.other import X\n"
    (package / "zsad/main.py").write_text(more + MODULE)
    before = fresh("zsad.room.entry")
    (package / "zsad/other.py").write_text("X = 2\n")
    assert fresh("zsad.room.entry") == before


def test_what_is_set_apart_and_the_package_itself_do_not_count(package: Path) -> None:
    before = fresh("zsad.room.entry", apart=("zsad.part",))
    (package / "zsad/part.py").write_text("def helper(n):\n    return 7\n")
    (package / "zsad/__init__.py").write_text("VERSION = 2\n")
    assert fresh("zsad.room.entry", apart=("zsad.part",)) == before


def test_an_entry_that_does_not_exist_is_our_fault() -> None:
    with pytest.raises(ValueError, match=r"zsad\.nothing: no such module"):
        fresh("zsad.nothing")
