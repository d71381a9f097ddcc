"""Where MLflow's store is, and whether it answers: found out before MLflow is asked, which would retry for minutes."""

import contextlib
import os
import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from zsad.common.errors import UserError
from zsad.config.params import PARAMS_FILE

ANSWER_SECONDS = 3.0  # how long another process may hold the SQLite file, or a database server take to accept
LOCK_SECONDS = 5.0  # how long another zsad process may be sending
MIGRATION_SECONDS = 120.0  # how long another zsad process may take to make the store: it answers, it is only slow
SQL_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def store_root() -> Path:
    """The repository's root: that of the DVC repository that runs this process, else the nearest with a params.yaml."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PARAMS_FILE).is_file():
            return folder
    raise UserError(f"{here}: no {PARAMS_FILE} here or above; run zsad in its repository or set MLFLOW_TRACKING_URI")


def store_uri() -> str:
    """Where MLflow keeps its records: MLFLOW_TRACKING_URI, else mlflow.db in the root, where `mlflow ui` looks."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(store_root() / 'mlflow.db').resolve()}"


def there_is_a_store() -> bool:
    """Whether something may have been recorded: not in a repository in which nothing was trained yet."""
    path = sqlite_path(store_uri())
    return path is None or _has_content(path)


def make_once(path: Path, make: Callable[[Path], None]) -> None:
    """Make a missing SQLite store with `make`: the first process does, those that come meanwhile wait for it."""
    if not _has_content(path):
        with _lock(path, MIGRATION_SECONDS):
            if not _has_content(path):
                make(path)


def one_writer(sqlite: Path | None) -> AbstractContextManager[Any]:
    """A lock for a SQLite store, so that two processes never make the same run; database servers need none."""
    return _lock(sqlite, LOCK_SECONDS) if sqlite else nullcontext()


def probe(uri: str) -> None:
    """Raise an OSError or sqlite3.Error when the store cannot be used now. HTTP is left to MLflow's own time-out."""
    path, url = sqlite_path(uri), urlsplit(uri)
    dialect = url.scheme.split("+")[0]
    if path is not None:
        with contextlib.closing(sqlite3.connect(path, timeout=ANSWER_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    elif url.hostname and dialect in SQL_PORTS:
        socket.create_connection((url.hostname, url.port or SQL_PORTS[dialect]), timeout=ANSWER_SECONDS).close()


def sqlite_path(uri: str) -> Path | None:
    """File of a `sqlite:///` URI; None for any other store."""
    return Path(uri.removeprefix("sqlite:///").split("?")[0]).resolve() if uri.startswith("sqlite:///") else None


def without_password(uri: str) -> str:
    """`uri`, fit to be printed."""
    return re.sub(r"//[^/@]*@", "//", uri)


def _lock(path: Path, seconds: float) -> AbstractContextManager[Any]:
    file = Path(f"{path}.lock")
    file.touch()  # fails at once where nothing can be written; FileLock would go on trying
    return FileLock(file, timeout=seconds)


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
