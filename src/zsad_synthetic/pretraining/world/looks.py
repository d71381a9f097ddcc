"""How a picture looks, whatever it shows, and the words that people have for it."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

WORDS = ("bright", "dark", "blurry", "black and white")
"""Words of CLIP's usual frames that speak of the picture and not of what is in it."""

_STRIKING, _UNSHARP, _COLOURLESS = 0.6, 0.7, 0.02


class Look(NamedTuple):
    """Measures of one picture, or of N pictures as arrays."""

    brightness: NDArray[np.floating]
    """Mean grey level, 0 to 1."""
    detail: NDArray[np.floating]
    """Logarithm of the mean distance from a slightly blurred copy."""
    colour: NDArray[np.floating]
    """Mean distance between the largest and the smallest channel, 0 to 1."""


def measure(picture: NDArray[np.uint8]) -> Look:
    """The look of a picture [H, W, 3]."""
    grey = (picture.mean(-1) / 255).astype(np.float32)
    detail = np.log(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1)).mean() + 1e-4)
    return Look(grey.mean(), detail, np.ptp(picture, axis=-1).mean() / 255)


def true_words(look: Look) -> NDArray[np.bool_]:
    """[N, len(WORDS)] which words fit which of N pictures, compared with the others."""
    brightness, detail = _standard(look.brightness), _standard(look.detail)
    fits = brightness > _STRIKING, brightness < -_STRIKING, detail < -_UNSHARP, look.colour < _COLOURLESS
    return np.stack(fits, axis=1)


def murkiness(look: Look) -> NDArray[np.floating]:
    """[N] how dark and unsharp each of N pictures is, like a snapshot; zero mean, unit variance."""
    return _standard(-1.5 * _standard(look.brightness) - _standard(look.detail))


def _standard(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return (values - values.mean()) / values.std()
