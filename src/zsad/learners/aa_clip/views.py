"""Random views of source pictures, as AA-CLIP's official training makes them. Part of the method in `__init__`.

First colours: brightness, contrast, saturation, each with probability 0.7 by up to a half. Then places, each with
probability one half: turn by up to 30°, shift by up to 15 %, flip either way. What comes in from outside is filled with
CLIP's mean colour, which is 0 in the official code, where places are changed after normalisation.
"""

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from zsad.clip.inputs import MEAN
from zsad.learners.base import Sample

LARGEST_ANGLE = 30.0  # degrees
LARGEST_SHIFT = 0.15  # of the picture's side
LARGEST_FACTOR = 0.5  # of colours, around 1
COLOUR_CHANCE = 0.7


def augment(sample: Sample, generator: np.random.Generator) -> Sample:
    """One random view; the label stays, and so does an anomaly that was turned out of the picture."""
    picture, mask = jitter(sample.picture, generator), sample.mask
    if coin(generator):
        picture, mask = warp(picture, mask, turning(mask.shape, generator.uniform(-LARGEST_ANGLE, LARGEST_ANGLE)))
    if coin(generator):
        down, right = np.round(generator.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2) * mask.shape)
        picture, mask = warp(picture, mask, np.array([[1, 0, right], [0, 1, down]]))
    for axis in (1, 0):
        if coin(generator):
            picture, mask = np.flip(picture, axis), np.flip(mask, axis)
    return Sample(np.ascontiguousarray(picture), np.ascontiguousarray(mask), sample.label)


def coin(generator: np.random.Generator, chance: float = 0.5) -> bool:
    """True with probability `chance`."""
    return bool(generator.random() < chance)


def jitter(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Brightness, contrast and saturation times a random factor, uint8 RGB [H, W, 3]."""
    image = Image.fromarray(picture)
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        if coin(generator, COLOUR_CHANCE):
            image = kind(image).enhance(generator.uniform(1 - LARGEST_FACTOR, 1 + LARGEST_FACTOR))
    return np.asarray(image)


def turning(shape: tuple[int, ...], angle: float) -> np.ndarray:
    """Affine map [2, 3] of a turn by `angle` degrees around the centre."""
    height, width = shape
    return cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)


def warp(picture: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Picture and mask under an affine map, nearest pixel."""
    size = mask.shape[::-1]
    fill = [round(255 * value) for value in MEAN]
    moved = cv2.warpAffine(picture, affine, size, flags=cv2.INTER_NEAREST, borderValue=fill)
    return moved, cv2.warpAffine(mask.astype(np.uint8), affine, size, flags=cv2.INTER_NEAREST) > 0
