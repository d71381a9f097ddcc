"""Files: nothing half-written is ever seen, and equal content gives equal bytes."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, atomic_path, read_json, read_tensors, write_json, write_tensors


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"a": 1})
    with pytest.raises(TypeError), atomic_path(target) as temporary:
        json.dump({"half": object()}, temporary.open("w"))
    assert read_json(target) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]  # noqa: PTH208 (hidden files count)


def test_a_directory_appears_whole_and_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".out.part"
    left.mkdir()
    (left / "old").write_text("x")
    with atomic_directory(tmp_path / "out") as temporary:
        (temporary / "new").write_text("y")
        assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
    assert not left.exists()


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="out: no space left on the disk"), atomic_directory(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_not_a_number_is_refused_in_results(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"a": float("nan")})


def test_broken_json_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match="a.json: not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match="b.json: not found"):
        read_json(tmp_path / "b.json")


def test_tensors_have_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = (
        "import sys, torch; from pathlib import Path; from zsad.common.io import write_tensors;"
        "write_tensors(Path(sys.argv[1]), {'b': torch.arange(4.), 'a': torch.ones(2, 2)}, {'x': 1, 'w': [2], 'k': 'v'})"
    )
    files = [tmp_path / f"{i}.safetensors" for i in range(2)]
    for i, file in enumerate(files):
        environment = {**os.environ, "PYTHONHASHSEED": str(i)}
        subprocess.run([sys.executable, "-c", program, str(file)], check=True, env=environment)
    assert files[0].read_bytes() == files[1].read_bytes()
    tensors, metadata = read_tensors(files[0])
    assert metadata == {"x": 1, "w": [2], "k": "v"}
    assert torch.equal(tensors["b"], torch.arange(4.0))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x80\x04\x95 a pickle"])
def test_other_files_are_refused_not_unpickled(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable safetensors file"):
        read_tensors(path)
    with pytest.raises(UserError, match="no such file"):
        read_tensors(tmp_path / "b.safetensors")


def test_no_metadata_is_no_crash(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    assert read_tensors(tmp_path / "a.safetensors")[1] == {}
    write_tensors(tmp_path / "b.safetensors", {}, {"only": "metadata"})
    assert read_tensors(tmp_path / "b.safetensors") == ({}, {"only": "metadata"})
