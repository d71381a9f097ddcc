"""Files: atomic writes, canonical JSON, safetensors that are the same bytes for the same content, hashes."""

import contextlib
import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsad.common.errors import UserError

if TYPE_CHECKING:
    import torch

METADATA_KEY = "zsad"  # the only safetensors metadata key: with two or more, the bytes differ between processes


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)


def content_hash(value: Any) -> str:
    """First 16 hex digits of the sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it into place only when the block ends well.

    A reader therefore never sees a half-written file. A full disk becomes a UserError that names the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.part"
    temporary.unlink(missing_ok=True)  # what a killed process left
    try:
        with full_disk_named(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Like `atomic_path` for a whole directory, which replaces an existing one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed process left
    temporary.mkdir()
    try:
        with full_disk_named(path):
            yield temporary
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """A full disk inside the block becomes a UserError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"{path}: no space left on the disk; free some and run the command again") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with sorted keys atomically; NaN is refused (`null` stands for a missing value)."""
    write_text(path, json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a missing or broken file is a UserError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` to produce it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run `dvc repro`") from error


def write_tensors(path: Path, tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, Any]) -> None:
    """Write a safetensors file atomically; `metadata` is stored as canonical JSON under one key."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    with atomic_path(path) as temporary:
        save_file(plain, temporary, metadata={METADATA_KEY: canonical_json(dict(metadata))})
        temporary.chmod(0o644)  # safetensors writes files that only their owner can read


def read_tensors(path: Path) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Read a safetensors file written by `write_tensors`: (tensors, metadata). Never unpickles anything."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 (not a mapping)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
