"""A tiny official archive on disk, and the way from it to its manifest."""

from pathlib import Path

import pytest

from tests.helpers.official_layouts import RAW, Tree
from zsad.config.schema import DatasetParams
from zsad.datasets import catalogue as catalogues
from zsad.datasets.catalogue import catalogue
from zsad.datasets.fetch import fetch
from zsad.datasets.index import build_manifest
from zsad.datasets.manifest import Manifest


class Drawn:
    """A tiny archive of one set, its entry with the tree's counts, and the way to its manifest."""

    def __init__(self, name: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.draw, self.counts = RAW[name]
        self.name, self.work, self.monkeypatch = name, work, monkeypatch
        self.entry = catalogue()[name]
        expected = dict.fromkeys(self.entry.categories, self.counts)
        self.change(expected=expected, total=None, contains={}, unverified=[])
        self.tree = Tree(work / "unpacked")
        self.draw(self.tree, self.entry)

    def change(self, **facts: object) -> None:
        """From now on, the catalogue says this."""
        self.entry = entry = self.entry.model_copy(update=facts)
        self.monkeypatch.setattr(catalogues, "catalogued", lambda name, where: entry)

    def manifest(self) -> Manifest:
        """Fetched from the folder and indexed."""
        params = DatasetParams(kind="official", path=str(self.tree.root))
        fetch(self.name, params, self.work / "raw")
        return build_manifest(self.name, params, self.work / "raw")
