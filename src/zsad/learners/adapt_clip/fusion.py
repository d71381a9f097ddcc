"""How AdaptCLIP brings maps together, at full size. Part of the method in `__init__`. Everything is float64.

Enlarging and smoothing are linear in each axis, so each is a matrix from the left and from the right.
"""

from functools import cache

import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d
from torch import Tensor


@cache
def enlarging(grid: int, size: int) -> Tensor:
    """[size, grid]: bilinear interpolation along one axis, half-pixel centres."""
    return F.interpolate(torch.eye(grid, dtype=torch.float64)[None], size=size, mode="linear")[0].T.contiguous()


@cache
def smoothing(size: int, sigma_px: float) -> Tensor:
    """[size, size]: Gaussian filter along one axis, scipy's at its defaults, as the official code smooths maps."""
    eye = torch.eye(size, dtype=torch.float64)
    return torch.from_numpy(gaussian_filter1d(eye.numpy(), sigma_px, axis=0)) if sigma_px > 0 else eye


def enlarge(maps: Tensor, size: int) -> Tensor:
    """[…, g, g] → [size, size] maps, float64."""
    return _both_axes(enlarging(maps.shape[-1], size), maps)


def peak(maps: Tensor, sigma_px: float) -> Tensor:
    """[…] largest value of each map, smoothed."""
    return _both_axes(smoothing(maps.shape[-1], sigma_px), maps).flatten(-2).amax(-1)


def harmonic_mean(values: Tensor) -> Tensor:
    """Over the first axis, of values ≥ 0; 0 where one of them is 0."""
    return len(values) / (1 / values).sum(0)


def _both_axes(matrix: Tensor, maps: Tensor) -> Tensor:
    matrix = matrix.to(maps.device)
    return matrix @ maps.double() @ matrix.T
