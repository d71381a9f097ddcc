"""Fixtures of several unit tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.fetching import WAITS, Obtain, fetcher
from tests.helpers.http_server import Server, serve
from zsad.common.cluster import start_ray


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    WAITS.clear()
    with serve() as running:
        yield running


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Ray on this machine, with two cores, and workers no nicer than other tests, for which they would wait."""
    os.environ.update({"RAY_worker_niceness": "0"})
    start_ray(2)
    import ray

    yield
    ray.shutdown()


@pytest.fixture
def fetch(tmp_path: Path) -> Obtain:
    return fetcher(tmp_path)
