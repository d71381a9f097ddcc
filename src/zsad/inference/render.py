"""Anomaly maps as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from zsad.inference.maps import Floats

STRONGEST = 0.6  # share of the colour where it is fullest
WEAKEST_STEP = 0.35  # just above a threshold
YELLOW = 0.65  # where a heatmap is
COMMON, RARE = 90.0, 99.9  # percentiles of the pixels of several maps that an overlay's colours span
SAMPLED = 128  # a map is looked at in as many rows and columns to find these


@dataclass(frozen=True)
class Scale:
    """What the colours of an overlay span: a picture is untouched up to `low`, and red from `high` on.

    is_step: `low` is a threshold; what is above it shows at once, yellow, and below it is nothing.
    """

    low: float
    high: float
    is_step: bool = False


def scale_above(threshold: float) -> Scale:
    """Colours for what lies above a pixel threshold alone; absolute."""
    return Scale(threshold, 1.0, is_step=True)


def scale_of(maps: Sequence[Floats]) -> Scale:
    """One scale for several maps, from their most common to their rarest values.

    Learners differ in how high their maps reach: there is no absolute scale on which all can be looked at.
    """
    values = [map_HW[:: -(-map_HW.shape[0] // SAMPLED), :: -(-map_HW.shape[1] // SAMPLED)] for map_HW in maps]
    low, high = np.percentile(np.concatenate([each.ravel() for each in values]), (COMMON, RARE))
    return Scale(float(low), float(high))


def heatmap(map_HW: Floats) -> np.ndarray:
    """Map in [0, 1] as RGB [H, W, 3]: dark blue 0, red 1. The scale is absolute, so pictures can be compared."""
    grey = np.rint(map_HW * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)


def overlay(picture_HW3: np.ndarray, map_HW: Floats, scale: Scale | None = None) -> np.ndarray:
    """A map in colour over its picture, RGB [H, W, 3].

    Without a scale it is stretched to its own range: that shows where in this picture, and never how much.
    """
    scale = scale or Scale(float(map_HW.min()), float(map_HW.max()))
    stretched = np.clip((map_HW - scale.low) / max(scale.high - scale.low, 1e-12), 0, 1)
    weight = STRONGEST * stretched
    if scale.is_step:
        weight = np.where(map_HW > scale.low, WEAKEST_STEP + (STRONGEST - WEAKEST_STEP) * stretched, 0)
        stretched = YELLOW + (1 - YELLOW) * stretched
    weight = weight[..., None]
    return np.rint(picture_HW3 * (1 - weight) + heatmap(stretched) * weight).astype(np.uint8)
