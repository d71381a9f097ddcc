"""Self-made anomalies: where they lie, how large they are, and that a seed decides everything."""

import numpy as np
import pytest

from zsad.learners.apt import anomalies as apt

SIDE = 60


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((SIDE, SIDE, 3), dtype=np.float32)


@pytest.fixture
def disc():
    """An object that fills 13 % of the picture."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return (y - 20) ** 2 + (x - 35) ** 2 < 12**2


@pytest.mark.parametrize("families", [apt.TRAINING, apt.HELD_OUT])
def test_nothing_changes_outside_of_the_mask(picture, disc, families):
    pool = apt.make_pool(picture, disc, 60, families, np.random.default_rng(1))
    assert pool.pictures.dtype == np.float32
    assert (pool.pictures.min(), pool.pictures.max()) >= (0, 0)
    assert pool.pictures.max() <= 1
    changed = (pool.pictures != picture).any(-1)
    assert not (changed & ~pool.masks).any()
    assert not (pool.masks & ~disc).any()
    assert (changed.sum((1, 2)) > 0.5 * pool.masks.sum((1, 2))).mean() > 0.9
    assert {family.__name__ for family in families} <= set(pool.used)


@pytest.mark.parametrize("least", [0.051, 0.5, 1.0])
def test_area_bounds_hold(least):
    """For objects from the smallest to the whole picture, speckled ones too."""
    speckles = np.random.default_rng(3).random((SIDE, SIDE)) < least
    rng = np.random.default_rng(0)
    areas = np.array([apt.region(speckles, rng)[0].mean() for _ in range(300)])
    assert areas.min() >= 0.002
    assert areas.max() <= 0.3
    assert len(np.unique(areas)) > 20


def test_the_last_resort_grows_until_it_is_large_enough():
    """Objects that no drawn shape meets: the square around a pixel of theirs."""
    sparse = np.zeros((SIDE, SIDE), bool)
    sparse[::15, ::15] = True
    rng = np.random.default_rng(0)
    mask, names = apt.region(sparse, rng)
    assert names == ["last_resort"] or mask.mean() >= apt.AREA[0]
    assert apt.AREA[0] <= apt._last_resort(sparse, rng).mean() <= apt.AREA[1]


def test_a_seed_decides_the_pool(picture, disc):
    pools = [apt.make_pool(picture, disc, 8, apt.TRAINING, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert pools[0].hash == pools[1].hash != pools[2].hash
    assert pools[0].used == pools[1].used


def test_held_out_families_are_not_trained_on(picture):
    assert not set(apt.TRAINING) & set(apt.HELD_OUT)
    rng = np.random.default_rng(0)
    moved = apt.transplant(picture, rng)
    assert np.array_equal(np.sort(moved.ravel()), np.sort(picture.ravel()))  # every pixel is one of the picture's
    assert (moved == picture).all(-1).mean() < 0.01
    black = np.zeros_like(picture)
    assert not apt.multiplicative_noise(black, rng).any()
    assert apt.gaussian_noise(black, rng).any()


def test_noise_comes_in_cells_and_channels():
    """Sides 1, 4, 8 or 16 px at 240; grey or per channel; spread 0.05 to 0.5 around a mean within ± 0.3."""
    rng, sides, grey = np.random.default_rng(0), set(), 0
    for _ in range(60):
        noise = apt._noise(240, rng)
        assert noise.shape == (240, 240, 3)
        sides.add(int(np.flatnonzero(np.diff(noise[0, :, 0]))[0]) + 1)
        grey += int((noise[..., 0] == noise[..., 1]).all())
        assert abs(noise.mean()) < 0.4
        assert 0.03 < noise.std() < 0.6
    assert sides == {1, 4, 8, 16}
    assert 20 < grey < 40


def test_shapes_have_their_sizes():
    everywhere, rng = np.ones((200, 200), bool), np.random.default_rng(0)
    lines = np.array([apt.line(everywhere, rng).sum() for _ in range(100)])
    assert lines.min() > 20
    assert lines.max() < 0.6 * 200 * 7
    boxes = np.array([apt.rectangle(everywhere, rng).sum() for _ in range(200)])
    assert boxes.max() <= 80 * 80
    blobs = np.array([apt.blob(everywhere, rng).mean() for _ in range(50)])
    assert blobs.max() < 0.5
    assert (blobs > 0).mean() > 0.5


def test_perlin_noise_is_zero_on_its_lattice_and_smooth():
    noise = apt.perlin(64, (4, 2), np.random.default_rng(0))
    assert abs(noise[::16, ::32]).max() < 1e-12
    assert 0.3 < abs(noise).max() < 1.5
    assert abs(np.diff(noise, axis=0)).max() < 0.3


def test_object_mask(disc):
    """Otsu's threshold, the more probable side; everything where the sides hardly differ or one nearly fills it."""
    found = apt.object_mask(np.where(disc, 0.9, 0.2) + 0.01 * np.random.default_rng(0).random(disc.shape), 0.1)
    assert np.array_equal(found, disc)
    assert apt.object_mask(np.where(disc, 0.52, 0.5), 0.1).all()
    assert not apt.object_mask(np.where(disc, 0.52, 0.5), 0.0).all()
    assert apt.object_mask(np.full((SIDE, SIDE), 0.7), 0.0).all()
    tiny = np.zeros((SIDE, SIDE))
    tiny[:5, :5] = 1
    assert apt.object_mask(tiny, 0.1).all()
    assert apt.object_mask(1 - tiny, 0.1).all()
