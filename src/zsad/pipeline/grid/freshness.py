"""`zsad gate --fresh`: do the committed metrics follow from code, params.yaml and dvc.lock? Without data or GPU.

`dvc status` asks the same of files that lie in the working tree, and a fresh clone has hardly any. Here the chain is
followed through dvc.lock itself: commands and parameters are what dvc.yaml and params.yaml say now, the code of each
stage has the digest that it was run with, every stage read what the stage before it has written, and the metrics in the
working tree are those that were written last. A comment in the code makes nothing stale.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo

from zsad.common.errors import UserError
from zsad.config.params import load_params
from zsad.pipeline.stage_code import CODE, write_code

OWN = "code"  # this stage: its outputs are computed anew, so what it depends on need not be asked


@dataclass(frozen=True)
class Freshness:
    """{what does not follow: the stages concerned}."""

    stale: dict[str, list[str]]

    @property
    def exit_code(self) -> int:
        """0 or 1."""
        return int(bool(self.stale))

    @property
    def markdown(self) -> str:
        """For a terminal or a CI summary."""
        if not self.stale:
            return "## Metrics are fresh\n\nThey follow from the code, params.yaml, dvc.yaml and dvc.lock.\n"
        lines = "\n".join(f"- {trouble}: {_counted(stages)}" for trouble, stages in self.stale.items())
        remedy = "Run `zsad repro` or `dvc repro`, and commit dvc.lock and metrics/ together with what changed."
        return f"## Metrics are stale\n\n{lines}\n\n{remedy}\n"


def freshness() -> Freshness:
    """Follow the chain of the repository in the current directory."""
    logging.getLogger("dvc").setLevel(logging.ERROR)
    params = load_params()
    found: dict[str, list[str]] = {}
    with TemporaryDirectory(prefix="zsad_code_") as scratch:
        write_code(params, Path(scratch) / "code")
        try:
            chain = _Chain(Repo(), Path(scratch) / "code")
        except DvcException as error:
            raise UserError(f"dvc.yaml: {error}") from error
        for stage in chain.stages:
            for trouble in chain.stale(stage):
                found.setdefault(trouble, []).append(stage.addressing)
    return Freshness(found)


def _counted(stages: list[str]) -> str:
    """`aggregate, score@cops-wood and 31 more of score`."""
    cells: dict[str, list[str]] = {}
    for stage in stages:
        cells.setdefault(stage.partition("@")[0], []).append(stage)
    return ", ".join(
        names[0] + (f" and {len(names) - 1} more of {kind}" if len(names) > 1 else "") for kind, names in cells.items()
    )


class _Chain:
    """All stages with what dvc.lock says of them; `code`: where the digests of the code as it is now lie."""

    def __init__(self, repo: Repo, code: Path) -> None:
        self.stages = sorted(repo.index.stages, key=lambda stage: str(stage.addressing))
        self._repo, self._code = repo, code
        self._written = {self._path(out): out for stage in self.stages for out in stage.outs}

    def stale(self, stage: Any) -> Iterator[str]:
        """What is wrong with one stage."""
        if stage.addressing == OWN:
            return
        if not all(out.hash_info for out in stage.outs):
            yield "no entry in dvc.lock"
            return
        if stage.cmd_changed:
            yield "ran with another command"
        yield from filter(None, map(self._dependency, stage.deps))
        for out in stage.outs:  # committed ones; a file that Git ignores may be absent
            if not (out.use_cache or self._repo.scm.is_ignored(out.fs_path)) and out.changed_checksum():
                yield f"{self._path(out)} {'is not what was written' if out.exists else 'is gone'}"

    def _dependency(self, dependency: Any) -> str | None:
        """What is wrong with one dependency, or None."""
        if isinstance(dependency, ParamsDependency):
            changed = [key for keys in dependency.status().values() for key in keys]
            return f"ran with other parameters: {', '.join(changed)}" if changed else None
        path = self._path(dependency)
        if not dependency.hash_info:
            return f"ran without {path}"
        if path.startswith(f"{CODE.as_posix()}/"):
            digest = self._code / PurePosixPath(path).relative_to(CODE.as_posix())
            same = digest.is_file() and _md5(digest) == dependency.hash_info.value
            return None if same else "the code is another now"
        return None if self._is_what_was_written(path, dependency) else f"read another {path}"

    def _is_what_was_written(self, path: str, dependency: Any) -> bool:
        if path in self._written:
            return bool(dependency.hash_info == self._written[path].hash_info)
        parts = [out for name, out in self._written.items() if name.startswith(f"{path}/")]
        if any(out.use_cache for out in parts):  # a folder of several stages' outputs, of which the lock tells sizes
            return _totals(parts) == _totals([dependency])
        if any(path.startswith(f"{name}/") for name in self._written):  # a file in an output, compared with its stage
            return True
        return not dependency.changed_checksum()

    def _path(self, item: Any) -> str:
        """Relative to the repository's root."""
        return PurePosixPath(Path(item.fs_path).relative_to(self._repo.root_dir)).as_posix()


def _totals(items: list[Any]) -> tuple[int, int]:
    """Bytes and files."""
    return sum(item.meta.size or 0 for item in items), sum(item.meta.nfiles or 1 for item in items)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
