"""Where a map lies above a threshold: connected regions with box, area and height."""

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from zsad.inference.maps import Floats

EIGHT = 8  # neighbours: regions that touch at a corner are one, as in AUPRO


@dataclass(frozen=True)
class Region:
    """In pixels of the picture, x to the right and y down from its upper left corner; `peak`: largest map value."""

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "peak": round(self.peak, 6)}


def find_regions(map_HW: Floats, threshold: float) -> list[Region]:
    """Regions of map > threshold, the highest first."""
    above = (map_HW > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=EIGHT)
    peaks = np.zeros(count)
    inside = above.astype(bool)
    np.maximum.at(peaks, labels[inside], map_HW[inside])
    found = [_region(stats[i].tolist(), float(peaks[i])) for i in range(1, count)]
    return sorted(found, key=lambda region: -region.peak)


def _region(stats: list[int], peak: float) -> Region:
    x, y, width, height, area = stats
    return Region(x, y, width, height, area, peak)
