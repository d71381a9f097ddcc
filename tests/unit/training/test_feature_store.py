"""The store of frozen features: whole files, a budget, and processes that want the same at once."""

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zsad.common.errors import UserError
from zsad.training.feature_store import HEADER, FeatureStore, Kept, stored_bytes

KIND = (np.dtype(np.float32), (4, 100))
SIZE = HEADER + 1600


def put(store: FeatureStore, folder: str, value: float = 1, name: str = "cls") -> dict[str, Kept] | None:
    """Write one stream of this value; None where there is no room."""
    with store.alone(folder), store.write(folder, {name: KIND}) as begun:
        if begun is not None:
            begun[name].array[:] = value
    return begun


def names(store: FeatureStore) -> list[str]:
    return sorted(path.parent.name for path in store.root.glob("*/*.npy"))


def test_what_was_written_is_found_by_another_and_cannot_be_changed(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    assert store.find("a", ["cls"]) == {}
    put(store, "a", 7)
    found = FeatureStore(store.root).find("a", ["cls", "patches"])
    assert found.keys() == {"cls"}
    assert found["cls"].array.tolist() == [[7.0] * 100] * 4
    with pytest.raises(ValueError, match="read-only"):
        found["cls"].array[0] = 0
    assert stored_bytes(store.root) == SIZE


def test_an_error_while_it_is_filled_leaves_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    with pytest.raises(KeyError), store.alone("a"), store.write("a", {"cls": KIND}):
        raise KeyError
    assert stored_bytes(tmp_path) == 0


def test_the_longest_unused_goes_first_and_none_that_is_read(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 3 * SIZE)
    for number, folder in enumerate("abc"):
        put(store, folder, number)
        os.utime(tmp_path / folder / "cls.npy", (number, number))
    store.find("a", ["cls"])  # used, but not read any more
    put(store, "d")
    assert names(store) == ["a", "c", "d"]
    assert not (tmp_path / "b").exists()
    reading = [store.find(folder, ["cls"]) for folder in "acd"]
    assert put(store, "e") is None
    assert names(store) == ["a", "c", "d"]
    assert reading.pop(1)["cls"].array[0, 0] == 2
    assert put(store, "e") is not None
    assert names(store) == ["a", "d", "e"]


def test_what_is_larger_than_the_budget_removes_nothing(tmp_path: Path) -> None:
    put(FeatureStore(tmp_path), "a")
    assert put(FeatureStore(tmp_path, SIZE - 1), "b") is None
    assert names(FeatureStore(tmp_path)) == ["a"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a budget there is no room then; without one, the message names the file."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zsad.training.feature_store.shutil.disk_usage", lambda _: SimpleNamespace(free=SIZE))
    assert put(FeatureStore(tmp_path, 10 * SIZE), "a") is None
    monkeypatch.setattr("zsad.training.feature_store.os.posix_fallocate", full)
    with pytest.raises(UserError, match=r"a/\.cls\.part: no space left on the disk"):
        put(FeatureStore(tmp_path), "a")
    assert stored_bytes(tmp_path) == 0


def _begin_and_wait(root: Path, ready: Any) -> None:
    with FeatureStore(root).alone("a"), FeatureStore(root).write("a", {"cls": KIND}) as begun:
        assert begun
        begun["cls"].array[:2] = 1
        ready.set()
        time.sleep(60)


def test_a_killed_writer_leaves_nothing_half_and_holds_nobody_up(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    writer = context.Process(target=_begin_and_wait, args=(tmp_path, ready))
    writer.start()
    assert ready.wait(30)
    store = FeatureStore(tmp_path, 2 * SIZE)
    assert store.find("a", ["cls"]) == {}
    assert put(store, "b") is not None
    assert put(store, "c", name="other") is not None  # b goes: what is being written counts, and stays
    assert names(store) == ["c"]
    assert (tmp_path / "a/.cls.part").is_file()
    assert writer.pid
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert put(store, "a", 5) is not None
    assert names(store) == ["a", "c"]
    assert store.find("a", ["cls"])["cls"].array.min() == 5
    assert stored_bytes(tmp_path) == 2 * SIZE
