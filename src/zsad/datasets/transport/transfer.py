"""Where a dataset's archive comes from: what is here already, what the user put there, then the addresses in order.

Every archive is judged by its sha256 before use, every time: the published one, else the one of its first use.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.common.progress import log
from zsad.datasets.transport.download import Download, DownloadError
from zsad.datasets.transport.formats import archive_format, read_head, wrong_content
from zsad.datasets.transport.google_drive import download_from_drive
from zsad.datasets.transport.kaggle import download_from_kaggle
from zsad.datasets.transport.lockfile import Seen, recall, record
from zsad.datasets.transport.members import incomplete
from zsad.datasets.transport.partial import Partial
from zsad.datasets.transport.policy import DROP, LOCK, PATIENT, STORE, Policy

PACKAGES = {"gdrive": "drive", "kaggle": "kaggle"}  # kinds that a package fetches → folder for what is on its way


@dataclass(frozen=True)
class Remote:
    """One source of an archive. Sources that share `file` are mirrors of the same bytes.

    url: of a direct one. id: of a file on Google Drive. dataset: owner/slug on Kaggle. file: name under which the
    archive is kept and looked for. page: where people find it. sha256, md5: published hashes, if any. size: in bytes,
    if known. note: what people who fetch it by hand should know.
    """

    kind: Literal["direct", "gdrive", "kaggle", "manual"]
    url: str = ""
    id: str = ""
    dataset: str = ""
    file: str = ""
    page: str = ""
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    note: str = ""

    @property
    def address(self) -> str:
        """Where it is, for people."""
        drive = f"https://drive.google.com/file/d/{self.id}/view" if self.id else ""
        kaggle = f"https://www.kaggle.com/datasets/{self.dataset}" if self.dataset else ""
        return {"direct": self.url, "gdrive": drive, "kaggle": kaggle, "manual": self.page}[self.kind]


def obtain(
    key: str,
    remotes: Sequence[Remote],
    store: Path = STORE,
    drop: Path = DROP,
    lock: Path = LOCK,
    policy: Policy = PATIENT,
) -> Path:
    """The verified archive of dataset `key`: from `store`/<key>, else `drop`/<key>, else `remotes` in order.

    UserError, when all fail, lists what was tried, why each failed, and how to bring the file by hand.
    """
    search = _Search(key, remotes, store / key, drop / key, lock, policy)
    path = search.stored() or search.dropped() or search.fetched()
    if path is None:
        raise UserError(search.report())
    return path


@dataclass(frozen=True)
class _Search:
    key: str
    remotes: Sequence[Remote]
    store: Path
    drop: Path
    lock: Path
    policy: Policy
    failures: list[str] = field(default_factory=list)

    def stored(self) -> Path | None:
        """What an earlier run fetched."""
        paths = {self.store / remote.file: remote for remote in self.remotes}
        return next((path for path, remote in paths.items() if self._is_good(path, remote)), None)

    def dropped(self) -> Path | None:
        """What the user put there: the named file or, for a manual source, an only archive of any name."""
        paths = {self.drop / remote.file: remote for remote in self.remotes}
        manual = [remote for remote in self.remotes if remote.kind == "manual"]
        archives = [path for path in _files(self.drop) if archive_format(read_head(path))]
        if manual and len(archives) == 1:
            paths.setdefault(archives[0], manual[0])
        elif archives and not paths.keys() & set(archives):
            self.failures.append(f"{self.drop}: none of its archives has the name asked for")
        return next((path for path, remote in paths.items() if self._is_good(path, remote)), None)

    def fetched(self) -> Path | None:
        """The first archive that an address gives."""
        for remote in self.remotes:
            if remote.kind == "manual":
                continue
            self.store.mkdir(parents=True, exist_ok=True)
            try:
                with only_one(self.store / "fetch.lock", self.key):
                    return self._fetch(remote)
            except DownloadError as error:
                self._failed(remote.address, str(error))
        return None

    def report(self) -> str:
        """What was tried, and the way that is left."""
        remote = next((remote for remote in self.remotes if remote.kind == "manual"), self.remotes[0])
        return "\n".join(
            [
                f"{self.key}: no usable archive" + (":" if self.failures else " here yet"),
                *(f"  {failure}" for failure in self.failures),
                f"By hand: download {remote.file} from {remote.page or remote.address}, "
                f"put it into {self.drop}/ and run the command again" + (f" ({remote.note})" if remote.note else ""),
            ]
        )

    def _fetch(self, remote: Remote) -> Path:
        target = self.store / remote.file
        if remote.kind in PACKAGES:
            self._fetch_through_a_package(remote, target)
        else:
            self._download(remote, target)
        return target

    def _fetch_through_a_package(self, remote: Remote, target: Path) -> None:
        arrived = self.store / PACKAGES[remote.kind] / remote.file
        arrived.parent.mkdir(exist_ok=True)
        if remote.kind == "kaggle":
            download_from_kaggle(remote.dataset, arrived, remote.size)
        else:
            download_from_drive(remote.id, arrived)
        if problem := self._problem(arrived, remote, remote.address):
            arrived.unlink()
            raise DownloadError(problem)
        arrived.replace(target)

    def _download(self, remote: Remote, target: Path) -> None:
        partial = Partial(self.store, remote.file)
        hashed = bool(self._published(remote) or recall(self.lock, self.key, remote.file))
        download = Download(remote.url, partial, remote.size, hashed, self.policy)
        download.run()
        problem = self._problem(partial.path, remote, remote.url)
        if problem and partial.joined:  # parts of different files, perhaps: once more in one piece
            log(f"{remote.file}: {problem}; fetching it once more from the beginning")
            partial.discard()
            download.run()
            problem = self._problem(partial.path, remote, remote.url)
        if problem:
            partial.discard()
            raise DownloadError(problem)
        partial.finish(target)

    def _is_good(self, path: Path, remote: Remote) -> bool:
        if not path.is_file():
            return False
        problem = wrong_content(path.name, read_head(path))
        problem = f"is {problem}" if problem else self._problem(path, remote)
        if problem:
            self._failed(str(path), problem)
        return not problem

    def _problem(self, path: Path, remote: Remote, source: str = "") -> str:
        """Why `path` is not the archive; empty when it is.

        Without a known hash, one that comes from an address, `source`, is recorded; what a user put here may be wrong.
        """
        digest = file_sha256(path)
        if published := self._published(remote):
            return "" if digest in published else f"sha256 is {digest}, published is {' or '.join(sorted(published))}"
        if (md5 := self._published_md5(remote)) and (found := _file_md5(path)) not in md5:
            return f"md5 is {found}, published is {' or '.join(sorted(md5))}"
        if seen := recall(self.lock, self.key, remote.file):
            return "" if digest == seen.sha256 else _changed(digest, seen, self.lock)
        size = path.stat().st_size
        if remote.size and size != remote.size:
            return f"it has {size} bytes, expected {remote.size}"
        if problem := incomplete(path):
            return problem
        if source:
            today = datetime.now(UTC).date().isoformat()
            record(self.lock, self.key, remote.file, Seen(digest, size, source, today))
        return ""

    def _published(self, remote: Remote) -> set[str]:
        return {other.sha256.lower() for other in self.remotes if other.file == remote.file and other.sha256}

    def _published_md5(self, remote: Remote) -> set[str]:
        return {other.md5.lower() for other in self.remotes if other.file == remote.file and other.md5}

    def _failed(self, where: str, why: str) -> None:
        self.failures.append(f"{where}: {why}")
        log(f"{self.key}: {self.failures[-1]}")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _file_md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _changed(digest: str, seen: Seen, lock: Path) -> str:
    return (
        f"sha256 is {digest}, but {seen.sha256} was recorded on {seen.date} (from {seen.url}); "
        f"to accept the new file, delete its entry in {lock}"
    )


@contextmanager
def only_one(path: Path, key: str) -> Iterator[None]:
    """UserError when another process is inside such a block with the same lock file."""
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise UserError(f"{path}: another process is fetching {key}; wait for it or stop it") from None
