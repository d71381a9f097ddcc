"""Random views of source pictures: what each step does, and that picture and mask stay together."""

import numpy as np
import pytest

from zsad.learners.base import Sample
from zsad.learners.bayes_pfl import views as views


class Always:
    """A generator whose every number is the largest or the smallest it may be."""

    def __init__(self, high):
        self.high = high

    def random(self):
        return 0.0  # every coin shows heads

    def uniform(self, low, high, size=None):
        value = high if self.high else low
        return value if size is None else np.full(size, value)

    def integers(self, count):
        return count - 1 if self.high else 0

    def standard_normal(self, shape, dtype):
        return np.full(shape, 1.0 if self.high else -1.0, dtype)


def shapes(height=40, width=60):
    """A white rectangle on black, and the same as mask."""
    mask = np.zeros((height, width), bool)
    mask[10:30, 15:40] = True
    return Sample(np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=2), mask, 1)


def noise_picture():
    return np.random.RandomState(0).randint(0, 256, (24, 31, 3)).astype(np.uint8)


def test_a_view_is_a_function_of_its_generator():
    sample = Sample(noise_picture(), np.eye(24, 31, dtype=bool), 1)
    drawn = [views.augment(sample, np.random.default_rng(seed)) for seed in (1, 1, *range(2, 40))]
    assert np.array_equal(drawn[0].picture, drawn[1].picture)
    assert len({view.picture.tobytes() for view in drawn}) > 30
    for view in drawn:
        assert view.picture.dtype == np.uint8
        assert view.picture.shape[:2] == view.mask.shape
        assert view.picture.shape in ((24, 31, 3), (31, 24, 3))
        assert view.mask.dtype == bool
        assert view.label == 1
        assert view.picture.flags.c_contiguous
    assert np.array_equal(sample.picture, noise_picture())  # the picture itself is left alone


@pytest.mark.parametrize("angle", [-30.0, 17.0, 90.0])
def test_picture_and_mask_turn_together(angle):
    sample = shapes()
    picture, mask = views.turn(sample.picture, sample.mask, angle)
    assert ((picture[..., 0] > 127) != mask).mean() < 0.02
    assert mask.any()
    assert views.turn(sample.picture, sample.mask, 0.0)[1].tolist() == sample.mask.tolist()


def test_turning_mirrors_at_the_border():
    white = np.full((20, 30, 3), 200, np.uint8)
    picture, mask = views.turn(white, np.ones((20, 30), bool), 30.0)
    assert (picture == 200).all()
    assert mask.all()


def test_largest_and_smallest_brightness_contrast_and_noise():
    """Contrast 1.2 and brightness +51: 100 → 171, with noise of variance 50: 178; the other way: 29, with 10: 25."""
    grey = Sample(np.full((9, 9, 3), 100, np.uint8), np.zeros((9, 9), bool), 0)
    high = views.augment(grey, Always(high=True))  # the last step is a Gaussian blur
    low = views.augment(grey, Always(high=False))  # a box blur
    assert (high.picture == 178).all()
    assert (low.picture == 25).all()


def test_one_of_three():
    picture = noise_picture()
    constant = np.full((9, 9, 3), 77, np.uint8)
    assert np.array_equal(views.box_blur(constant, Always(high=True)), constant)
    wanted = picture[3:6, 3:6].astype(float).mean((0, 1))
    assert abs(views.box_blur(picture, Always(high=True))[4, 4] - wanted).max() <= 0.5
    assert (
        views.gaussian_blur(picture, Always(high=True)).std() < views.gaussian_blur(picture, Always(high=False)).std()
    )
    jittered = views.jitter(picture, np.random.default_rng(0))
    assert jittered.shape == picture.shape
    assert 0 < abs(jittered.astype(int) - picture).mean() < 80


def test_colour_adjustments():
    picture = noise_picture()
    assert views.adjust_brightness(picture, 1.1).max() == 255
    assert np.array_equal(views.adjust_brightness(picture, 0.8), (picture * 0.8).astype(np.uint8))
    flat = np.full((4, 4, 3), 90, np.uint8)
    assert np.array_equal(views.adjust_contrast(flat, 1.2), flat)
    assert views.adjust_contrast(picture, 0.8).std() < picture.std()
    grey = views.adjust_saturation(picture, 0.0)
    assert np.array_equal(grey[..., 0], grey[..., 1])
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert views.adjust_hue(red, 1 / 3)[0, 0].tolist() == [0, 255, 0]


def test_mosaics_replace_pictures_as_often_as_asked(build):
    learner, plain = build("bayes_pfl", mosaic=0.4), build("bayes_pfl")
    normal = Sample(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool), 0)
    anomalous = [lambda: shapes(8, 8)]
    generator = np.random.default_rng(0)
    labels = [learner.view(normal, anomalous, generator).label for _ in range(1000)]
    assert sum(labels) / 1000 == pytest.approx(0.4, abs=0.05)
    assert not any(plain.view(normal, anomalous, generator).label for _ in range(30))
    assert not any(learner.view(normal, [], generator).label for _ in range(30))
