"""What people name: files, folders, patterns and lists, and the places that their pictures get."""

import io
from pathlib import Path

import pytest

from zsad.common.errors import UserError
from zsad.inference.pictures.sources import listed_sources, named_sources

OUT = Path("out")


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.png", "a/deep/2.webp", "a/deep/x.dcm", "a/notes.txt", "a/.hidden.png", "b/1.png", "b/[1].jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def places(*paths: str, out: Path = OUT) -> list[tuple[str, str]]:
    return [(file.as_posix(), place.as_posix()) for file, place in named_sources(paths, out)]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a"], ["1.png", "deep/2.webp", "deep/x.dcm"]),
        (["a", "b"], ["a/1.png", "a/deep/2.webp", "a/deep/x.dcm", "b/1.png", "b/[1].jpg"]),
        (["a/notes.txt"], ["notes.txt"]),  # who names a file means it
        (["b/[1].jpg"], ["[1].jpg"]),  # a name, though it reads like a pattern
        (["*/1.png"], ["a/1.png", "b/1.png"]),
        (["a/**/*.webp"], ["deep/2.webp"]),
        (["a/*"], ["1.png", "deep/2.webp", "deep/x.dcm"]),
        (["a/1.png", "a/deep/2.webp"], ["1.png", "2.webp"]),
        (["a/1.png", "a/1.png"], ["1.png"]),
    ],
)
def test_places_mirror_what_was_named(paths: list[str], expected: list[str]) -> None:
    assert [place for _, place in places(*paths)] == expected


def test_a_pattern_may_be_absolute(tmp_path: Path) -> None:
    assert places(f"{tmp_path}/b/1*") == [(f"{tmp_path}/b/1.png", "1.png")]


@pytest.mark.parametrize(
    ("paths", "out", "message"),
    [
        (["nothing"], "out", "nothing: no such file or folder"),
        (["no*.png"], "out", r"no\*.png: no pictures there"),
        (["a", "x/../a"], "out", "x/../a: no such file or folder"),
        (["a/1.png", "b/1.png"], "out", "would both be written as out/1.png; name a folder above both"),
        (["a"], ".", "the pictures lie inside"),
    ],
)
def test_what_cannot_be(paths: list[str], out: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        places(*paths, out=Path(out))


def test_earlier_output_is_no_input() -> None:
    assert [place for _, place in places("a", out=Path("a/deep"))] == ["1.png"]


def test_a_list_is_read_as_it_comes_and_mirrored_as_written() -> None:
    lines = io.StringIO("a/1.png\n\n/data/b c.png\r\nout/1.png.overlay.png\nsub/../b/1.png\n")
    listed = listed_sources(lines, OUT)
    assert next(listed).place == Path("a/1.png")
    assert lines.tell() <= len("a/1.png\n\n")
    rest = [source.place.as_posix() for source in listed]
    assert rest[0] == "data/b c.png"
    assert rest[1] == (Path.cwd() / "b/1.png").relative_to("/").as_posix()
