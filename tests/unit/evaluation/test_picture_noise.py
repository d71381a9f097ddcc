"""The gate with predictions at hand on both sides, on a real repository under Git and DVC: chance and explanation."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.gate_cases import git, repo, run
from tests.helpers.gate_predictions import build, commit_predictions, predict
from zsad.datasets.images import read_image
from zsad.datasets.manifest import Manifest
from zsad.evaluation.explain import explain

__all__ = ["repo"]  # the fixture, by which pytest finds it


@pytest.fixture
def manifest(repo: Path) -> Manifest:
    """The repository with committed predictions of one cell."""
    shutil.rmtree("metrics")
    manifest = build(repo)
    predict(manifest)
    commit_predictions()
    return manifest


def test_predictions_of_both_sides_tell_what_pictures_do(manifest: Manifest) -> None:
    """Lost beyond what seeds do: the choice of pictures is in the noise, which is paired and so below either side's."""
    predict(manifest, worse=1.0, chance=1)
    verdict = run()
    assert verdict.status == "regressed"
    change = next(c for c in verdict.changes if (c.scope, c.metric) == ("cell", "image_auroc"))
    assert change.regressed
    assert change.pictures is not None
    assert change.noise is not None
    assert 0.01 < change.pictures < change.noise < 0.06
    predict(manifest, worse=0.0, chance=2)
    assert run().status == "passed"


def test_without_the_predictions_of_both_sides_the_seeds_decide(manifest: Manifest) -> None:
    predict(manifest, worse=1.0, chance=1)
    with_pictures = {(c.scope, c.metric): c for c in run().changes}
    shutil.rmtree(".dvc/cache")
    verdict = run()
    assert verdict.status == "regressed"
    for change in verdict.changes:
        known = with_pictures[change.scope, change.metric]
        assert change.pictures is None
        assert change.noise is not None
        assert known.pictures is None or (known.noise or 0) > change.noise


def test_it_explains_what_was_lost(manifest: Manifest) -> None:
    """One defect type got worse: it, and pictures of it, are named and shown."""
    predict(manifest, worse=2.5, kinds=("hole",))
    told = explain(run(), Path("shown"))
    assert "### cops on toy: " in told
    assert "- image_auroc by category: cup 0." in told
    kinds = next(line for line in told.splitlines() if line.startswith("- image_auroc by defect type"))
    assert kinds.partition(": ")[2].startswith("cup/hole 0.")
    ranks = [line for line in told.splitlines() if line.startswith("- rank: ")]
    assert len(ranks) == 5
    assert all("cup/hole/" in line for line in ranks[:3])
    assert any(line.startswith("- own pixels: cup/hole/") for line in told.splitlines())
    shown = read_image(Path(ranks[0].rpartition("see ")[2]))
    assert shown.shape == (32, 96, 3)  # the picture, the map before and after
    assert (shown[:, :32] == (0, 255, 0)).all(-1).any()  # the outline of the true region
    assert not np.array_equal(shown[:, 32:64], shown[:, 64:])


def test_without_predictions_it_explains_by_the_cells(manifest: Manifest) -> None:
    predict(manifest, worse=2.5)
    shutil.rmtree(".dvc/cache")
    told = explain(run(), Path("shown"))
    assert "by defect type: cup/" in told
    assert "the predictions of both sides are not at hand; `dvc pull`" in told
    assert not Path("shown").exists()


def test_nothing_lost_is_said_so(manifest: Manifest) -> None:
    assert "Nothing: no metric of a cell fell by more than" in explain(run(), Path("shown"))
    assert git("status", "--porcelain") == ""
