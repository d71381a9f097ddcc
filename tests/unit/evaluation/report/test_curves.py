"""The area below a curve is the number of the table."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.helpers.report_cases import make_params, written_grid
from zsad.evaluation.report import curves
from zsad.evaluation.report.curves import read_curves, scores_by_label, stride
from zsad.evaluation.report.material import Stored, gather

AREAS = {"image_roc": "image_auroc", "image_pr": "image_ap", "pixel_pr": "pixel_ap", "pixel_pro": "pixel_aupro"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    with written_grid(tmp_path_factory.mktemp("grid")):
        yield gather(make_params()).stored["cops", "wood"]


@pytest.mark.parametrize("kind", AREAS)
def test_area(stored: Stored, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "POINTS", 4001)
    curve = read_curves(stored)[kind]
    area = np.trapezoid(curve.y, curve.x) / curve.x[-1]
    assert area == pytest.approx(stored.cell["mean"][AREAS[kind]], abs=2e-3)


def test_large_sets_are_read_in_part(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stride(stored) == 1
    monkeypatch.setattr(curves, "MOST_PIXELS", 16 * 2 * 24 * 24 // 4)
    assert stride(stored) == 4
    assert set(read_curves(stored)) == set(AREAS)


def test_scores_by_label(stored: Stored) -> None:
    normal, anomalous = scores_by_label(stored)
    assert (len(normal), len(anomalous)) == (8 * 2, 8 * 2)  # both seeds
    assert anomalous.mean() > normal.mean()
