"""Random views of source pictures: what each step does, and that picture and mask stay together."""

import numpy as np
import pytest

from zsad.learners.aa_clip.views import augment, jitter, turning, warp
from zsad.learners.base import Sample

FILL = [123, 117, 104]  # CLIP's mean colour


def rectangle(height=40, width=60):
    """A white rectangle on the colour that comes in from outside, and the same as mask."""
    mask = np.zeros((height, width), bool)
    mask[10:30, 15:40] = True
    return Sample(np.where(mask[..., None], 255, FILL).astype(np.uint8), mask, 1)


def test_what_is_shifted_or_turned_in_has_clips_mean_colour():
    sample = rectangle()
    picture, mask = warp(sample.picture, sample.mask, np.array([[1.0, 0, 5], [0, 1, -3]]))
    assert np.array_equal(mask, np.roll(sample.mask, (-3, 5), (0, 1)))
    assert picture[-1, 0].tolist() == FILL
    picture, mask = warp(sample.picture, sample.mask, turning(sample.mask.shape, 30))
    assert picture[0, 0].tolist() == FILL
    assert mask.sum() == pytest.approx(sample.mask.sum(), rel=0.03)
    assert np.array_equal(picture[..., 0] == 255, mask)


def test_half_a_turn_is_both_flips():
    sample = rectangle()
    picture, mask = warp(sample.picture, sample.mask, turning(sample.mask.shape, 180))
    assert np.array_equal(mask, sample.mask[::-1, ::-1])
    assert np.array_equal(picture, sample.picture[::-1, ::-1])


def test_places_of_picture_and_mask_stay_together(monkeypatch):
    monkeypatch.setattr("zsad.learners.aa_clip.views.jitter", lambda picture, generator: picture)
    seen = []
    for seed in range(20):
        view = augment(rectangle(), np.random.default_rng(seed))
        assert np.array_equal(view.picture[..., 0] == 255, view.mask)
        assert (view.picture.shape, view.label, view.mask.dtype) == ((40, 60, 3), 1, np.dtype(bool))
        seen.append(view.mask.tobytes())
    assert len(set(seen)) > 10


def test_a_view_is_a_function_of_the_generator():
    first, second, other = (augment(rectangle(), np.random.default_rng(seed)).picture for seed in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_colours_keep_within_their_range():
    """Grey has no saturation, and its contrast about the mean is that of a constant picture: brightness alone acts."""
    grey = np.full((4, 4, 3), 100, np.uint8)
    values = [int(jitter(grey, np.random.default_rng(seed))[0, 0, 0]) for seed in range(200)]
    assert 50 <= min(values) < 60
    assert 140 < max(values) <= 150
    assert 30 < values.count(100) < 90  # three in ten are left alone
