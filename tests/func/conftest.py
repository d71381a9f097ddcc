"""Fixtures of functional tests."""

import pytest

from tests.helpers.repository import SMALL, Repo, make_repo


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """The repository of one test module; its tests change it one after another."""
    return make_repo(tmp_path_factory.mktemp("func") / "repo", *SMALL)
