"""Colours of maps: the heatmap's absolute scale, and the one scale that overlays of a run share."""

import numpy as np
import pytest

from tests.helpers.models import noise
from zsad.inference.render import Scale, heatmap, overlay, scale_above, scale_of

PICTURE = np.asarray(noise(4, 4))


def changed(map_HW: np.ndarray, scale: Scale | None = None) -> np.ndarray:
    return (overlay(PICTURE, map_HW, scale) != PICTURE).any(axis=2)


def test_heat_has_an_absolute_scale() -> None:
    assert heatmap(np.ones((4, 4)))[0, 0, 0] > heatmap(np.ones((4, 4)))[0, 0, 2]  # red
    assert heatmap(np.zeros((4, 4)))[0, 0].max() < 64  # dark


def test_without_a_scale_an_overlay_shows_where_however_low_the_map() -> None:
    assert not changed(np.full((4, 4), 0.3)).any()
    low = np.zeros((4, 4))
    low[1, 2] = 0.01
    assert np.argwhere(changed(low)).tolist() == [[1, 2]]


def test_below_a_threshold_a_picture_is_untouched_and_above_it_shows_at_once() -> None:
    map_HW = np.full((4, 4), 0.3)
    map_HW[0, 0], map_HW[3, 3] = 0.3001, 1.0
    shown = overlay(PICTURE, map_HW, scale_above(0.3)).astype(int)
    assert np.argwhere((shown != PICTURE).any(axis=2)).tolist() == [[0, 0], [3, 3]]
    moved = np.abs(shown - PICTURE).sum(axis=2)
    assert moved[0, 0] > 50
    red, green, blue = heatmap(np.ones((1, 1)))[0, 0]
    assert shown[3, 3] == pytest.approx(0.4 * PICTURE[3, 3] + 0.6 * np.array([red, green, blue]), abs=1)


def test_one_scale_leaves_the_good_alone() -> None:
    """Where each picture was stretched to its own range, the good one glowed like the bad one."""
    random = np.random.default_rng(0)
    good, bad = (0.4 + 0.02 * random.random((64, 64)) for _ in range(2))
    bad[:16, :16] += 0.3
    scale = scale_of([good, bad])
    picture = np.full((64, 64, 3), 128, np.uint8)
    strongest = [np.abs(overlay(picture, each, scale).astype(int) - picture).max() for each in (good, bad)]
    assert strongest[0] < 10
    assert strongest[1] > 60
    assert np.abs(overlay(picture, good).astype(int) - picture).max() > 60


def test_a_scale_does_not_depend_on_how_large_pictures_are() -> None:
    ramp = np.linspace(0, 1, 50)[None].repeat(50, axis=0)
    large = np.linspace(0, 1, 2000)[None].repeat(1000, axis=0)
    small, big = scale_of([ramp]), scale_of([large])
    assert small.low == pytest.approx(big.low, abs=0.03)
    assert small.high == pytest.approx(big.high, abs=0.03)
