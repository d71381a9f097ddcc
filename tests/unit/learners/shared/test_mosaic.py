"""Four pictures in one: where each lies, and what it cuts."""

from functools import partial

import numpy as np

from zsad.learners.base import Sample
from zsad.learners.shared.mosaic import mosaic


def test_mosaic_of_anomalous_pictures():
    """Canvas twice the first picture's size; a larger tile is cut, a smaller one leaves black."""
    tiles = [
        Sample(np.full((h, w, 3), 10 * (i + 1), np.uint8), np.ones((h, w), bool), 1)
        for i, (h, w) in enumerate([(4, 6), (9, 9), (2, 3), (4, 6)])
    ]
    order = iter(range(4))

    class InOrder:
        def integers(self, count):
            assert count == 4
            return next(order)

    made = mosaic([partial(lambda tile: tile, tile) for tile in tiles], InOrder())
    assert made.picture.shape == (8, 12, 3)
    assert made.label == 1
    assert (made.picture[:4, :6] == 10).all()
    assert (made.picture[:4, 6:] == 20).all()
    assert made.picture[4:, :6, 0].tolist() == [[30] * 3 + [0] * 3] * 2 + [[0] * 6] * 2
    assert (made.picture[4:, 6:] == 40).all()
    assert np.array_equal(made.mask, made.picture[..., 0] > 0)
