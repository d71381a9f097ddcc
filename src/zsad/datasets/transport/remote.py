"""A set of the user's own from an address: an archive, or a folder of pictures, over HTTP or what fsspec can read.

Nobody publishes a hash of it: dvc.lock records what came. What is here whole is used as it is, without asking again;
to bring it anew, delete data/downloads/<key>. A killed copy goes on where it stopped if the other side is unchanged.
"""

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rich.filesize import decimal

from zsad.common.errors import UserError
from zsad.common.io import atomic_path, content_hash, full_disk_named, write_text
from zsad.common.progress import log
from zsad.datasets.transport.disk_space import require_space
from zsad.datasets.transport.download import Download, DownloadError
from zsad.datasets.transport.extract import CHUNK, name_problem
from zsad.datasets.transport.formats import HEAD, wrong_content
from zsad.datasets.transport.members import incomplete
from zsad.datasets.transport.meter import byte_meter
from zsad.datasets.transport.partial import Origin, Partial
from zsad.datasets.transport.policy import PATIENT, STORE, Policy
from zsad.datasets.transport.transfer import only_one

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
WORKERS = 8  # files of a folder that are on their way at once
# What tells two states of a remote file apart, by the names that the storages give it.
STATE = (
    "size", "ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "updated", "mtime", "created"
)  # fmt: skip
RECORD, FILES = "address", "files"  # in data/downloads/<key>: where it came from, and a folder that was copied


def bring(key: str, url: str, suffixes: tuple[str, ...], store: Path = STORE, policy: Policy = PATIENT) -> Path:
    """The archive at `url`, or a folder with its files of these extensions, whole, below `store`/<key>.

    UserError that names the address when it cannot be had, and the package to install for its protocol.
    """
    folder = store / key
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "archive" / _name(url)
    with only_one(folder / "fetch.lock", key):
        here = next((path for path in (archive, folder / FILES) if path.exists()), None)
        record = folder / RECORD
        if here and record.is_file() and record.read_text(encoding="utf-8") == url:
            log(f"{key}: {here} was brought before; delete {folder} to bring it anew")
            return here
        shutil.rmtree(folder / FILES, ignore_errors=True)
        archive.unlink(missing_ok=True)
        is_http = urlsplit(url).scheme in ("http", "https")
        path = _download(url, archive, policy) if is_http else _copy(url, archive, folder, suffixes)
        write_text(record, url)
        return path


def _name(url: str) -> str:
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    return "archive" if name in ("", ".") or name_problem(name) else name


def _download(url: str, target: Path, policy: Policy) -> Path:
    target.parent.mkdir(exist_ok=True)
    partial = Partial(target.parent, target.name)
    try:
        Download(url, partial, policy=policy).run()
    except DownloadError as error:
        raise UserError(f"{url}: {error}") from error
    return _finished(url, partial, target)


def _finished(url: str, partial: Partial, target: Path) -> Path:
    if problem := incomplete(partial.path):
        partial.discard()
        raise UserError(f"{url}: {problem}")
    partial.finish(target)
    return target


def _copy(url: str, archive: Path, folder: Path, suffixes: tuple[str, ...]) -> Path:
    with _reading(url):
        storage, path = _storage(url)
        info = storage.info(path)
    if info["type"] == "file":
        return _copy_archive(url, storage, path, info, archive)
    return _copy_folder(url, storage, path, folder, suffixes)


def _storage(url: str) -> tuple[Any, str]:
    """(fsspec's view of the storage, path in it)."""
    import fsspec

    scheme = url.partition("://")[0].rpartition("::")[2]
    try:
        storage, path = fsspec.core.url_to_fs(url)
    except ValueError as error:
        raise UserError(f"{url}: {error}; `url` takes https://, s3://, gs:// and what else fsspec knows") from error
    except ImportError as error:
        package = PACKAGES.get(scheme)
        remedy = f"pip install {package}" if package else "install it with pip"
        raise UserError(f"{url}: {scheme}:// needs a package that is not installed ({error}); {remedy}") from error
    return storage, str(path)


@contextmanager
def _reading(url: str) -> Iterator[None]:
    """Whatever a storage says becomes a UserError: each raises errors of a client of its own, unknown here."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{url}: nothing is there ({error})") from error
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise UserError(f"{url}: cannot be read ({why}); check the address and your access to it") from error


def _copy_archive(url: str, storage: Any, path: str, info: Mapping[str, Any], target: Path) -> Path:
    target.parent.mkdir(exist_ok=True)
    partial = Partial(target.parent, target.name)
    origin = Origin(url, _state(info), info.get("size"))
    with _reading(url), full_disk_named(partial.path), storage.open(path, "rb") as source:
        if partial.origin != origin:
            head = source.read(HEAD)
            if problem := wrong_content(target.name, head):
                raise UserError(f"{url}: got {problem}; give an archive, or a folder in MVTec layout")
            partial.begin(origin, head)
        if origin.total:
            require_space(target.parent, origin.total - partial.size, f"the rest of {url}")
        source.seek(partial.size)
        with partial.path.open("ab", buffering=0) as file, byte_meter(url, origin.total, partial.size) as meter:
            while data := source.read(CHUNK):
                file.write(data)
                meter.advance(len(data))
    if origin.total not in (None, partial.size):
        raise UserError(f"{url}: {partial.size} of {origin.total} bytes arrived; run the command again")
    return _finished(url, partial, target)


def _copy_folder(url: str, storage: Any, path: str, folder: Path, suffixes: tuple[str, ...]) -> Path:
    """All files, then the folder at once. What an unfinished copy brought counts while the listing stays the same."""
    with _reading(url):
        found = _listing(url, storage.find(path, detail=True), path, suffixes)
    states = {name: _state(info) for name, (_, info) in found.items()}
    staging = folder / f"{FILES}.{content_hash(states)}.part"
    for stale in folder.glob(f"{FILES}.*.part"):
        if stale != staging:
            shutil.rmtree(stale)
    sizes = {name: int(info.get("size") or 0) for name, (_, info) in found.items()}
    missing = [name for name in found if not (staging / name).is_file()]
    require_space(folder, sum(sizes[name] for name in missing), f"copying {url}")
    log(f"{url}: {len(missing)} of {len(found)} pictures to copy, {decimal(sum(sizes[name] for name in missing))}")

    def copy(name: str) -> int:
        with atomic_path(staging / name) as temporary, _reading(f"{url}: {name}"):
            storage.get_file(found[name][0], str(temporary))
        return sizes[name]

    _in_parallel(copy, missing, url, sum(sizes.values()), sum(sizes.values()) - sum(sizes[name] for name in missing))
    staging.replace(folder / FILES)
    return folder / FILES


def _listing(
    url: str, found: Mapping[str, Mapping[str, Any]], top: str, suffixes: tuple[str, ...]
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """relative name → (name in the storage, what it says of the file), of the wanted files."""
    prefix = top.rstrip("/") + "/"
    files: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for full, info in sorted(found.items()):
        name = full.removeprefix(prefix)
        if not name.lower().endswith(suffixes):
            continue
        if problem := name_problem(name):
            raise UserError(f"{url}: refused, because {name!r} {problem}")
        if not any(part.startswith((".", "__MACOSX")) for part in name.split("/")):
            files[name] = (full, info)
    if not files:
        raise UserError(f"{url}: no pictures below it ({', '.join(suffixes)}); give an archive or a folder of pictures")
    return files


def _in_parallel(copy: Any, names: list[str], label: str, total: int, done: int) -> None:
    with ThreadPoolExecutor(WORKERS) as pool, byte_meter(label, total, done) as meter:
        waiting = [pool.submit(copy, name) for name in names]
        try:
            for future in as_completed(waiting):
                meter.advance(future.result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _state(info: Mapping[str, Any]) -> str:
    return content_hash({name: str(info[name]) for name in STATE if name in info})
