"""The MLflow store: whether it answers, and whether this MLflow wrote it. Loads no MLflow."""

import sqlite3
from importlib import metadata
from urllib.parse import urlsplit

from zsad.common.errors import UserError
from zsad.pipeline.doctor.finding import Finding
from zsad.tracking.migrations import newest_migration, schema_of
from zsad.tracking.store import ANSWER_SECONDS, probe, sqlite_path, store_uri, there_is_a_store, without_password

WHAT = "MLflow store"
OUTDATED = "delete the file, then zsad track sync, then zsad register"
ELSEWHERE = "start the server, or set MLFLOW_TRACKING_URI"


def check_records() -> Finding:
    """The store that MLFLOW_TRACKING_URI names, else mlflow.db in the root."""
    try:
        uri = store_uri()
    except UserError:
        return Finding(WHAT, "optional", "none here: no repository, and MLFLOW_TRACKING_URI is not set", ELSEWHERE)
    shown = without_password(uri)
    if not there_is_a_store():
        return Finding(WHAT, "later", "none yet; training makes it, or models are registered", "zsad register")
    if urlsplit(uri).scheme in ("http", "https"):
        return _server(uri, shown)
    if sqlite_path(uri) is None and urlsplit(uri).hostname is None:
        return Finding(WHAT, "missing", f"{shown}: neither a database nor a server", ELSEWHERE)
    try:
        probe(uri)
    except (OSError, sqlite3.Error) as error:
        return Finding(WHAT, "missing", f"{shown}: {error}", "end the process that holds it, or " + OUTDATED)
    return _database(uri, shown)


def _database(uri: str, shown: str) -> Finding:
    path = sqlite_path(uri)
    if path is None:
        return Finding(WHAT, "ok", f"{shown} answers")
    here = f"MLflow {metadata.version('mlflow')}"
    if schema_of(path) != newest_migration():
        return Finding(WHAT, "missing", f"{path.name} was made by another version than {here}", OUTDATED)
    return Finding(WHAT, "ok", f"{path.name}, by {here}")


def _server(uri: str, shown: str) -> Finding:
    import requests

    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        return Finding(WHAT, "missing", f"{shown} does not answer ({type(error).__name__})", ELSEWHERE)
    return Finding(WHAT, "ok", f"{shown} answers: MLflow {answer.text.strip()[:20]}, here {metadata.version('mlflow')}")
