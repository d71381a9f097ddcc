"""The stages of dvc.yaml as DVC plans and records them. With `freshness`, the only file that knows DVC's insides.

For each stage `dvc repro` goes through `Stage.run`: remove the outputs; take them from the run cache, or run the
command; hash dependencies and outputs; put outputs into the cache; write the entry of dvc.lock. Here the same calls are
made, apart from the command, whose place is elsewhere. Entries are written in DVC's own order: a stage that is done
before its turn waits. So dvc.lock is at any moment one that `dvc repro` could have left. What waited when this process
was killed is in the run cache, where either tool finds it.

DVC writes dvc.lock and its register of readers and writers (rwlock) in place: killed meanwhile, it leaves half a file
that stops every later command. Here both appear whole.
"""

import contextlib
import copy
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.rwlock import rwlock
from dvc.stage.cache import RunCacheNotFoundError
from dvc.utils.serialize import LOADERS

from zsad.common.errors import UserError
from zsad.common.io import atomic_path

PATIENCE = 60.0  # seconds that another DVC command may hold the repository


class Stages:
    """The stages that a run is about, by name (`train@cops-demo_source`), in the order in which DVC would run them."""

    def __init__(self, targets: Sequence[str] = ()) -> None:
        logging.getLogger("dvc").setLevel(logging.ERROR)
        LOADERS[".yaml"] = _read_once(LOADERS[".yaml"])  # DVC reads params.yaml four times a stage, 50 ms each
        with _dvc_told():
            self._repo = Repo()
            graph = get_active_graph(self._repo.index.graph)
            planned = plan_repro(graph, self._chosen(graph, targets))
        self._locks = str(self._repo.tmp_dir)
        self._own = tempfile.TemporaryDirectory(prefix="zsad_repro_")
        self._repo.tmp_dir = self._own.name  # where DVC's calls register for a moment; `held` tells other commands
        self._stages: dict[str, Any] = {stage.addressing: stage for stage in planned}
        self.upstream = {
            name: {other.addressing for other in graph.successors(stage)} & self._stages.keys()
            for name, stage in self._stages.items()
        }
        self._unwritten: dict[str, bool | None] = dict.fromkeys(self._stages)  # True: has an entry to write

    def _chosen(self, graph: Any, targets: Sequence[str]) -> list[Any]:
        """What is loaded already is not asked of DVC: for each target it reads dvc.lock, 1 s at 600 stages."""
        if not targets:
            own = str(Path("dvc.yaml").absolute())
            return [one for one in graph if one.path == own]
        loaded = {one.addressing: one for one in graph}
        known = [loaded[target] for target in targets if target in loaded]
        return known + collect_stages(self._repo, [target for target in targets if target not in loaded])

    def __iter__(self) -> Iterator[str]:
        return iter(self._stages)

    def __len__(self) -> int:
        return len(self._stages)

    def command(self, name: str) -> list[str]:
        """The lines of its command."""
        command = self._stages[name].cmd
        return list(command) if isinstance(command, list) else (command or "").splitlines()

    def environment(self, name: str) -> dict[str, str]:
        """What DVC puts into the environment of a command."""
        return {"DVC_ROOT": self._repo.root_dir, "DVC_STAGE": name}

    def directory(self, name: str) -> str:
        """Where its command runs."""
        return str(self._stages[name].wdir)

    def is_stale(self, name: str) -> bool:
        """Whether command, dependencies or outputs are others than dvc.lock says."""
        with self._locked():
            return bool(self._stages[name].changed())

    def restore(self, name: str) -> bool:
        """Whether a stale stage needs no run: its outputs were in the run cache, or it has no command."""
        stage = self._stages[name]
        with self._locked():
            if stage.frozen or stage.is_import or not stage.cmd:  # nothing of ours: DVC knows what to do
                stage.run()
                self._unwritten[name] = True
                return True
            if stage.changed_stage() or not stage.deps_cached():
                stage.save_deps()  # the run cache is asked by their hashes
                stage.cmd_changed = True  # what the entry says of outputs belongs to other dependencies
            try:
                self._repo.stage_cache.restore(stage, dry=True)
            except RunCacheNotFoundError:
                return False
            stage.remove_outs(ignore_remove=False, force=False)
            self._repo.stage_cache.restore(stage)
            self._save(name)
            return True

    def prepare(self, name: str) -> None:
        """Make a stage ready for its command: its old outputs go."""
        with self._locked():
            self._stages[name].remove_outs(ignore_remove=False, force=False)

    def record(self, name: str) -> None:
        """Take what its command has written into DVC's cache; the entry of dvc.lock is written by `write`."""
        with self._locked():
            self._save(name)

    def pass_over(self, name: str) -> None:
        """It did not change, failed or is not to run: no later stage waits for its entry."""
        self._unwritten[name] = False

    def write(self) -> None:
        """Write to dvc.lock what is done, up to the first stage, in DVC's order, that is not."""
        ready = []
        for name, state in list(self._unwritten.items()):
            if state is None:
                break
            del self._unwritten[name]
            ready += [self._stages[name]] if state else []
        if not ready:
            return
        by_lock_file: dict[Path, list[Any]] = {}
        for stage in ready:
            by_lock_file.setdefault(Path(stage.dvcfile.path).with_suffix(".lock"), []).append(stage)
        with self._locked():
            for path, entries in by_lock_file.items():
                with atomic_path(path) as temporary:
                    if path.is_file():
                        shutil.copy(path, temporary)
                    Lockfile(self._repo, str(temporary)).dump_stages(entries)

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Tell other DVC commands that its dependencies are read and its outputs written meanwhile."""
        stage, repo = self._stages[name], self._repo
        reads, writes = ([item.fs_path for item in items] for items in (stage.deps, stage.outs))
        hardlink = repo.config["core"].get("hardlink_lock", False)
        with _dvc_told(), rwlock(self._locks, _WholeFiles(), f"zsad repro ({name})", reads, writes, hardlink):
            yield

    def _save(self, name: str) -> None:
        stage = self._stages[name]
        uncached = any(not out.use_cache for out in stage.outs if not (out.is_metric or out.is_plot))
        stage.save(run_cache=not uncached)
        stage.commit()
        self._unwritten[name] = True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """DVC's lock on the repository, for a moment: between commands others may look."""
        until = time.monotonic() + PATIENCE
        with _dvc_told():
            while True:
                try:
                    self._repo.lock.lock()
                    break
                except LockError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.2)
            try:
                yield
            finally:
                self._repo.lock.unlock()


def _read_once(load: Callable[..., Any]) -> Callable[..., Any]:
    """A loader that reads a file again only where it has changed."""
    known: dict[tuple[str, int, int], Any] = {}

    def loader(path: str, *rest: Any, **more: Any) -> Any:
        found = Path(path).stat() if Path(path).is_file() else None
        if found is None or rest or more.keys() - {"fs"}:
            return load(path, *rest, **more)
        key = (str(path), found.st_mtime_ns, found.st_size)
        if key not in known:
            known[key] = load(path, **more)
        return copy.deepcopy(known[key])

    return loader


class _WholeFiles:
    """What DVC's rwlock asks of a file system, with files that appear whole."""

    join = staticmethod(os.path.join)

    @contextlib.contextmanager
    def open(self, path: str, mode: str = "r", encoding: str = "utf-8") -> Iterator[Any]:
        whole = contextlib.nullcontext(Path(path)) if mode == "r" else atomic_path(Path(path))
        with whole as file, file.open(mode, encoding=encoding) as opened:
            yield opened


@contextlib.contextmanager
def _dvc_told() -> Iterator[None]:
    """What DVC refuses is the user's to mend: its message becomes a UserError."""
    try:
        yield
    except DvcException as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        raise UserError(f"DVC: {error}{cause}") from error
