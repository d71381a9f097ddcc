"""Which schema a SQLite store has, and which one the installed MLflow writes; told without loading MLflow."""

import contextlib
import importlib.util
import re
import sqlite3
from pathlib import Path

MIGRATIONS = "store/db_migrations/versions"  # below mlflow: a file each, which names itself and the one before
NAMED = re.compile(r"^(revision|down_revision)\b.*=\s*\(?(.*?)\)?\s*$", re.MULTILINE)


def schema_of(path: Path) -> str | None:
    """The last migration of a store; None where the file has no schema of MLflow. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if "alembic_version" not in tables:
            return None
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return rows[0][0] if len(rows) == 1 else None


def newest_migration() -> str | None:
    """The migration that no other comes after; None where MLflow is not installed, or has more than one of them."""
    found = importlib.util.find_spec("mlflow")
    if found is None or found.origin is None:
        return None
    own: set[str] = set()
    earlier: set[str] = set()
    for file in (Path(found.origin).parent / MIGRATIONS).glob("*.py"):
        for which, value in NAMED.findall(file.read_text(encoding="utf-8")):
            (own if which == "revision" else earlier).update(re.findall(r"\w+", value.replace("None", "")))
    newest = own - earlier
    return newest.pop() if len(newest) == 1 else None
