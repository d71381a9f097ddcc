"""Anomaly maps: stored as log-odds codes on the patch grid, read back as probabilities at full size.

Everything is float64 on the CPU: a float32 map cannot tell 1 - 1e-8 from 1, and pixel metrics rank such pixels.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from zsad.learners.base import Upsample

Floats = NDArray[np.float64]
Codes = NDArray[np.uint16]

LOGIT_LIMIT = 24.0  # sigmoid(24) = 1 - 3.8e-11
MAX_CODE = 65535
PRODUCTS_FASTER = 4  # an operation of a matrix product takes so much less time than one of a filter; measured: 4 to 10
UPSAMPLE_MODES = ("nearest", "bilinear", "bilinear_corners")  # as `Upsample` of zsad.learners.base, without torch


def encode_logits(logits: NDArray[np.floating]) -> Codes:
    """Log-odds, any shape → uint16 codes: clipped to ±24, 65,535 uniform steps. NaN is refused (ValueError)."""
    if np.isnan(logits).any():
        raise ValueError("an anomaly map holds NaN")
    limited = np.clip(np.asarray(logits, dtype=np.float64), -LOGIT_LIMIT, LOGIT_LIMIT)
    return np.rint((limited + LOGIT_LIMIT) * (MAX_CODE / (2 * LOGIT_LIMIT))).astype(np.uint16)


def decode_logits(codes: Codes) -> Floats:
    """Codes of `encode_logits` → log-odds, at most 3.7e-4 from what was encoded."""
    return codes.astype(np.float64) * (2 * LOGIT_LIMIT / MAX_CODE) - LOGIT_LIMIT


def to_logits(probabilities: NDArray[np.floating]) -> Floats:
    """Probabilities in [0,1] → log-odds clipped to ±24."""
    values = np.asarray(probabilities, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(values) - np.log1p(-values), -LOGIT_LIMIT, LOGIT_LIMIT)


def sigmoid(logits: Floats) -> Floats:
    """Log-odds → probabilities."""
    return 1.0 / (1.0 + np.exp(-logits))


def upsample(grid_map: Floats, size: tuple[int, int], mode: "Upsample") -> Floats:
    """[h,w] → [H,W] as torch's `interpolate` does without antialiasing.

    nearest: mode="nearest"; bilinear: half-pixel centres (align_corners=False); bilinear_corners: align_corners=True.
    """
    (h, w), (H, W) = grid_map.shape, size
    if (h, w) == (H, W):
        return grid_map
    if mode == "nearest":
        return grid_map[_nearest(h, H)][:, _nearest(w, W)]
    left, right, x = _linear(w, W, mode)
    top, bottom, y = _linear(h, H, mode)
    columns = grid_map[:, left] * (1 - x) + grid_map[:, right] * x  # the narrow array first: [h,W]
    return columns[top] * (1 - y)[:, None] + columns[bottom] * y[:, None]


def smooth(full: Floats, sigma_px: float) -> Floats:
    """Gaussian filter of an [H,W] map, σ in pixels: scipy's `gaussian_filter(mode="reflect", truncate=4)`."""
    if sigma_px <= 0:
        return full
    kernel = _gaussian(sigma_px)
    return cv2.sepFilter2D(full, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REFLECT)


def full_map(codes: Codes, size: tuple[int, int], mode: "Upsample", sigma_fraction: float) -> Floats:
    """Stored codes [h,w] → anomaly probabilities [H,W]: decode, sigmoid, upsample, smooth.

    `sigma_fraction` is σ as a fraction of the image side (mean of height and width), so it follows the resolution.
    """
    probabilities, sigma_px = sigmoid(decode_logits(codes)), sigma_fraction * (size[0] + size[1]) / 2
    return np.clip(_enlarged(probabilities, size, mode, sigma_px), 0.0, 1.0)  # 1 + 1e-16 is possible


def _enlarged(grid_map: Floats, size: tuple[int, int], mode: "Upsample", sigma_px: float) -> Floats:
    """Upsampled, then smoothed; of a small map that is to be large, both steps as one product of matrices.

    Each step is linear in each axis; what is left out is the filter over all pixels. The two ways agree to 1e-15.
    """
    (h, w), (H, W) = grid_map.shape, size
    filtering, products = 2 * len(_gaussian(sigma_px)) * W if sigma_px > 0 else 0, w * (h + W)  # operations a row
    if products > PRODUCTS_FASTER * filtering:
        return smooth(upsample(grid_map, size, mode), sigma_px)
    return _both_steps(h, H, mode, sigma_px) @ grid_map @ _both_steps(w, W, mode, sigma_px).T


@lru_cache(maxsize=4)
def _both_steps(source: int, target: int, mode: "Upsample", sigma_px: float) -> Floats:
    """[target, source]: upsampling and smoothing along one axis."""
    steps = upsample(np.eye(source), (target, source), mode)
    return cv2.sepFilter2D(steps, cv2.CV_64F, np.ones(1), _gaussian(sigma_px), borderType=cv2.BORDER_REFLECT)


def _gaussian(sigma_px: float) -> Floats:
    """Weights of the filter, at most 4 σ from its middle."""
    radius = int(4 * sigma_px + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    return kernel / kernel.sum()


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    """Source index of each target index; torch scales in float32, which decides ties on whole numbers."""
    if target == 2 * source:
        return np.arange(target) // 2
    scaled = np.floor(np.arange(target, dtype=np.float32) * np.float32(source / target))
    return np.minimum(scaled.astype(np.intp), source - 1)


def _linear(source: int, target: int, mode: "Upsample") -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Lower neighbour, upper neighbour and weight of the upper one, for each of `target` positions."""
    index = np.arange(target, dtype=np.float64)
    if mode == "bilinear_corners":
        position = index * ((source - 1) / (target - 1) if target > 1 else 0.0)
    else:
        position = np.maximum((index + 0.5) * (source / target) - 0.5, 0.0)
    lower = np.minimum(position.astype(np.intp), source - 1)
    return lower, np.minimum(lower + 1, source - 1), position - lower
