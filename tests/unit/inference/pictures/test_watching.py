"""A watched folder: what comes is scored once it is whole, until somebody says that it is enough."""

import csv
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.brightness import Brightness
from zsad.common.errors import UserError
from zsad.inference.pictures import watching
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.run import predict_pictures
from zsad.inference.pictures.summary import Summary

OUT = Path("out")


@pytest.fixture(autouse=True)
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watching, "POLL", 0.02)
    (tmp_path / "inbox").mkdir()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell has it ignored
    yield tmp_path / "inbox"
    signal.signal(signal.SIGINT, before)


def names(sources: list) -> list[str]:
    return [source.file.name for source in sources]


def test_a_file_is_given_when_it_stood_still_and_once(inbox: Path) -> None:
    rounds = watching.new_pictures(["inbox"], OUT)
    assert next(rounds) == []
    growing = inbox / "a.png"
    growing.write_bytes(b"1")
    assert next(rounds) == []
    growing.write_bytes(b"12")
    assert next(rounds) == []
    assert names(next(rounds)) == ["a.png"]
    assert next(rounds) == []
    growing.write_bytes(b"123")
    (inbox / "b.png").write_bytes(b"1")
    assert next(rounds) == []
    assert names(next(rounds)) == ["a.png", "b.png"]
    growing.unlink()
    assert next(rounds) == []
    growing.write_bytes(b"123")
    os.utime(growing, (1, 1))
    assert [names(next(rounds)) for _ in range(3)] == [[], ["a.png"], []]


def test_a_folder_that_goes_away_is_named(inbox: Path) -> None:
    rounds = watching.new_pictures(["inbox"], OUT)
    next(rounds)
    inbox.rmdir()
    with pytest.raises(UserError, match="inbox: no such file or folder"):
        next(rounds)


def table() -> list[dict[str, str]]:
    with Path("out/scores.csv").open() as file:
        return list(csv.DictReader(file))


def watch(told: Callable[[], object]) -> Summary:
    """Watch, and run `told` from then on, which ends with a signal to this process."""

    def begin() -> None:
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            time.sleep(0.01)
        told()

    thread = threading.Thread(target=begin)
    thread.start()
    summary = predict_pictures(Brightness(), ["inbox"], OUT, Options(watch=True, batch_size=4))  # type: ignore[arg-type]
    thread.join()
    return summary


def wait_for(count: int) -> None:
    deadline = time.monotonic() + 30
    while not Path("out/scores.csv").is_file() or len(table()) < count:
        if time.monotonic() > deadline:
            break  # the assertions tell what is missing
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_rows_are_added_until_a_signal(inbox: Path, number: int) -> None:
    Image.new("L", (9, 7), 50).save(inbox / "a.png")
    seen: list[list[str]] = []

    def people() -> None:
        wait_for(1)
        seen.append([row["path"] for row in table()])
        Image.new("L", (9, 7), 90).save(inbox / "b.png")
        (inbox / "broken.png").write_bytes(b"not yet whole")
        wait_for(3)
        Image.new("L", (9, 7), 120).save(inbox / "broken.png")
        wait_for(4)
        seen.append([row["path"] for row in table()])
        os.kill(os.getpid(), number)

    before = signal.getsignal(signal.SIGTERM)
    summary = watch(people)
    assert signal.getsignal(signal.SIGTERM) == before
    assert seen[0] == ["inbox/a.png"]
    assert sorted(seen[1]) == ["inbox/a.png", "inbox/b.png", "inbox/broken.png", "inbox/broken.png"]
    final = {row["path"]: row for row in table()}
    assert len(final) == len(table()) == summary.rows == 3  # tidied: one row each
    assert final["inbox/broken.png"]["error"] == ""
    assert summary.failed == 1

    (inbox / "b.png").unlink()
    comes_last = Image.new("L", (9, 7), 60)
    again = watch(lambda: (comes_last.save(inbox / "c.png"), wait_for(4), os.kill(os.getpid(), number)))
    assert again.kept == 2
    assert sorted(row["path"] for row in table()) == sorted([*final, "inbox/c.png"])  # what left keeps its row
