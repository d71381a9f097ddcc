"""Random views of source pictures, as Bayes-PFL's official training makes them (albumentations 1.3.1 defaults).

Part of the method in `__init__`. Steps, each with probability one half: turn by up to 30°, turn by
quarters, brightness and contrast, Gaussian noise, and one of three: box blur, colour jitter, Gaussian blur.
Pictures are uint8 RGB [H, W, 3], masks bool [H, W]; all numbers come from the generator that is passed in.
"""

from functools import partial

import cv2
import numpy as np

from zsad.learners.base import Sample

LARGEST_ANGLE = 30.0  # degrees
BRIGHTNESS = CONTRAST = JITTER = 0.2
NOISE_VARIANCE = (10.0, 50.0)  # of grey values


def augment(sample: Sample, generator: np.random.Generator) -> Sample:
    """One random view; the label stays, and so does an anomaly that was turned out of the picture."""
    picture, mask = sample.picture, sample.mask
    if coin(generator):
        picture, mask = turn(picture, mask, generator.uniform(-LARGEST_ANGLE, LARGEST_ANGLE))
    if coin(generator):
        quarters = int(generator.integers(4))
        picture, mask = np.rot90(picture, quarters), np.rot90(mask, quarters)
    picture = np.ascontiguousarray(picture)
    if coin(generator):
        contrast, brightness = (1 + generator.uniform(-CONTRAST, CONTRAST)), generator.uniform(-BRIGHTNESS, BRIGHTNESS)
        picture = through_table(picture, np.arange(256, dtype=np.float32) * contrast + 255 * brightness)
    if coin(generator):
        deviation = generator.uniform(*NOISE_VARIANCE) ** 0.5
        picture = clipped(picture + deviation * generator.standard_normal(picture.shape, dtype=np.float32))
    if coin(generator):
        picture = (box_blur, jitter, gaussian_blur)[generator.integers(3)](picture, generator)
    return Sample(picture, np.ascontiguousarray(mask), sample.label)


def coin(generator: np.random.Generator) -> bool:
    """Heads."""
    return generator.random() < 0.5


def turn(picture: np.ndarray, mask: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Picture and mask turned about the centre by `angle` degrees; what comes in at the border is mirrored."""
    H, W = mask.shape
    matrix = cv2.getRotationMatrix2D((W / 2 - 0.5, H / 2 - 0.5), angle, 1.0)
    warp = partial(cv2.warpAffine, M=matrix, dsize=(W, H), borderMode=cv2.BORDER_REFLECT_101)
    turned = warp(mask.astype(np.uint8), flags=cv2.INTER_NEAREST)
    return warp(picture, flags=cv2.INTER_LINEAR), turned.astype(bool)


def box_blur(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Mean of 3 × 3 pixels."""
    return cv2.blur(picture, (3, 3))


def gaussian_blur(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Kernel of 3, 5 or 7 pixels with OpenCV's σ for it; 5 and 7 are twice as likely, as 4 and 6 are rounded up."""
    side = int((3, 5, 5, 7, 7)[generator.integers(5)])
    return cv2.GaussianBlur(picture, (side, side), 0)


def jitter(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, saturation, hue in random order; red and blue are exchanged, as in the official code."""
    brightness, contrast, saturation = generator.uniform(1 - JITTER, 1 + JITTER, 3)
    hue = generator.uniform(-JITTER, JITTER)
    steps = (
        partial(adjust_brightness, factor=brightness),
        partial(adjust_contrast, factor=contrast),
        partial(adjust_saturation, factor=saturation),
        partial(adjust_hue, shift=hue),
    )
    swapped = np.ascontiguousarray(picture[:, :, ::-1])
    for number in generator.permutation(4):
        swapped = steps[number](swapped)
    return np.ascontiguousarray(swapped[:, :, ::-1])


def adjust_brightness(picture: np.ndarray, factor: float) -> np.ndarray:
    """Grey values times `factor`."""
    return through_table(picture, np.arange(256) * factor)


def adjust_contrast(picture: np.ndarray, factor: float) -> np.ndarray:
    """Distance from the mean grey value times `factor`."""
    mean = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).mean()
    return through_table(picture, np.arange(256) * factor + mean * (1 - factor))


def adjust_saturation(picture: np.ndarray, factor: float) -> np.ndarray:
    """Distance from the grey picture times `factor`."""
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(picture, factor, grey, 1 - factor, 0)


def adjust_hue(picture: np.ndarray, shift: float) -> np.ndarray:
    """Hue turned by `shift` of the colour circle."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    table = np.mod(np.arange(256, dtype=np.int16) + 180 * shift, 180).astype(np.uint8)
    hsv[:, :, 0] = cv2.LUT(hsv[:, :, 0], table)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def through_table(picture: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Grey values looked up in a table of 256 numbers, cut to 0..255."""
    return cv2.LUT(picture, clipped(table))


def clipped(values: np.ndarray) -> np.ndarray:
    """Values cut to 0..255 and rounded down, uint8."""
    return np.clip(values, 0, 255).astype(np.uint8)
