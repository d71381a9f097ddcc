"""Anomaly maps as pictures."""

import cv2
import numpy as np

from zsad.inference.maps import Floats


def heatmap(map_HW: Floats) -> np.ndarray:
    """Map in [0, 1] as RGB [H, W, 3]: dark blue 0, red 1. The scale is absolute, so pictures can be compared."""
    grey = np.rint(map_HW * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)


def overlay(picture_HW3: np.ndarray, map_HW: Floats) -> np.ndarray:
    """Where in this picture: the map stretched to its own range, in colour over the picture, RGB [H, W, 3].

    Learners differ in how high their maps reach, so the score says how anomalous a picture is, and this only where.
    """
    low, high = map_HW.min(), map_HW.max()
    stretched = (map_HW - low) / (high - low) if high > low else np.zeros_like(map_HW)
    weight = 0.6 * stretched[..., None]
    return np.rint(picture_HW3 * (1 - weight) + heatmap(stretched) * weight).astype(np.uint8)
