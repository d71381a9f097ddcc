"""Regions above a pixel threshold, against a flood fill in words, and where they are drawn."""

import numpy as np
import pytest

from zsad.inference.pictures.outputs import BOX, boxed
from zsad.inference.pictures.regions import find_regions


def test_boxes_areas_and_peaks() -> None:
    map_HW = np.zeros((20, 30))
    map_HW[2:5, 3:10] = 0.6
    map_HW[3, 4] = 0.9
    map_HW[10:12, 20:21] = 0.95
    map_HW[12, 21] = 0.7  # touches at a corner
    map_HW[18, 0] = 0.5  # at the threshold is not above it
    found = [one.as_dict() for one in find_regions(map_HW, 0.5)]
    assert found == [
        {"x": 20, "y": 10, "width": 2, "height": 3, "area": 3, "peak": 0.95},
        {"x": 3, "y": 2, "width": 7, "height": 3, "area": 21, "peak": 0.9},
    ]


def test_none_above() -> None:
    assert find_regions(np.full((5, 5), 0.2), 0.2) == []


@pytest.mark.parametrize("seed", range(3))
def test_every_pixel_above_is_in_one_region(seed: int) -> None:
    map_HW = np.random.default_rng(seed).random((23, 31))
    found = find_regions(map_HW, 0.7)
    assert sum(one.area for one in found) == (map_HW > 0.7).sum()
    assert [one.peak for one in found] == sorted((one.peak for one in found), reverse=True)
    for one in found:
        box = map_HW[one.y : one.y + one.height, one.x : one.x + one.width]
        assert one.peak in box
        above = box > 0.7
        assert all(side.any() for side in (above[0], above[-1], above[:, 0], above[:, -1]))


def test_a_box_frames_its_region_and_covers_nothing_of_it() -> None:
    map_HW = np.zeros((20, 30))
    map_HW[5:8, 6:10] = 1
    pixels = boxed(np.zeros((20, 30, 3), np.uint8), find_regions(map_HW, 0.5))
    drawn = (pixels == BOX).all(axis=2)
    assert not drawn[5:8, 6:10].any()
    assert all(line.all() for line in (drawn[4, 5:11], drawn[8, 5:11], drawn[4:9, 5], drawn[4:9, 10]))
    assert drawn.sum() == 2 * 6 + 2 * 3
