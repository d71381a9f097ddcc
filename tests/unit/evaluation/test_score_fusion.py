"""Image scores that official metrics form over a whole category: half the score, half the map's top pixels."""

import numpy as np
import pytest

from zsad.evaluation.category import image_scores
from zsad.inference.stored import PredictionInfo, Predictions, PredictionWriter

SCORES = np.array([0.2, 0.3, 0.6])
LOGITS = np.array([[0.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]).reshape(3, 2, 2)
STRETCHED = np.array([0.0, 0.25, 1.0])


@pytest.fixture
def predictions(tmp_path):
    """predictions(image_top) → three images with maps of four pixels, read back from disk."""

    def make(image_top):
        facts = {"grid": (2, 2), "upsample": "nearest", "sigma": 0.0, "config_hash": "c", "dataset_hash": "h"}
        who = {"learner": "mine", "method": "bayes_pfl", "protocol": "paper", "source": "s", "shots": 0, "domain": "x"}
        info = PredictionInfo(**who, dataset="d", seeds=[0], n_images=3, **facts, image_top=image_top)
        with PredictionWriter(tmp_path / "p", info) as writer:
            writer.write(0, 0, SCORES, LOGITS)
        read = Predictions.open(tmp_path / "p")
        assert read.info == info
        return read

    return make


def test_scores_stand_as_they_are_unless_asked(predictions):
    assert image_scores(predictions(None), 0, "cloth", [2, 0]) == pytest.approx([0.6, 0.2])


@pytest.mark.parametrize(
    ("category", "top"),
    [("few", [0.5, 0.9998766, 0.8807971]), ("cloth", [0.5, 0.7499383, 0.8807971])],  # one pixel of four, two of four
)
def test_both_halves_run_from_0_to_1_over_the_category(predictions, category, top):
    """A category may have a share of its own; at least one pixel is averaged."""
    got = image_scores(predictions({"": 0.5, "few": 0.1}), 0, category, [0, 1, 2])
    top = (np.array(top) - min(top)) / (max(top) - min(top))
    assert got == pytest.approx((STRETCHED + top) / 2, abs=1e-4)


def test_without_masks_only_the_score_counts(predictions):
    assert image_scores(predictions({"": 0.5}), 0, "cloth", [0, 1, 2], fuse=False) == pytest.approx(SCORES)


def test_a_category_of_equal_images(predictions):
    assert image_scores(predictions({"": 0.5}), 0, "cloth", [1, 1]).tolist() == [0, 0]
