"""Image metrics equal scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from zsad.evaluation.metrics.image import image_metrics
from zsad.evaluation.metrics.names import IMAGE_METRICS

SCORES = st.one_of(st.floats(-5, 5), st.sampled_from([0.0, 0.5, 1.0]))


@settings(deadline=None)
@given(st.lists(st.tuples(SCORES, st.integers(0, 1)), min_size=2, max_size=40))
def test_equal_to_scikit_learn(items: list[tuple[float, int]]) -> None:
    scores, labels = np.array([s for s, _ in items]), np.array([y for _, y in items])
    found = image_metrics(scores, labels)
    if len(set(labels)) == 1:
        assert found == dict.fromkeys(IMAGE_METRICS)
        return
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert found["image_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found["image_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    assert found["image_f1max"] == pytest.approx(f1.max(), abs=1e-12)


def test_no_images_have_no_metrics() -> None:
    assert image_metrics(np.zeros(0), np.zeros(0, dtype=int)) == dict.fromkeys(IMAGE_METRICS)


def test_scores_must_be_numbers() -> None:
    with pytest.raises(ValueError, match="finite"):
        image_metrics(np.array([0.1, np.nan]), np.array([0, 1]))
