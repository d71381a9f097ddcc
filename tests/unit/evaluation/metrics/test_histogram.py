"""Streaming pixel metrics against exact ones, scikit-learn, and hand-made cases."""

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zsad.evaluation.metrics import reference as exact
from zsad.evaluation.metrics.histogram import BINS, PixelHistogram, bin_of, truth_of
from zsad.evaluation.metrics.names import PIXEL_METRICS
from zsad.inference.maps import decode_logits, encode_logits, sigmoid, to_logits

LIMIT = 0.3
SIDE = 6
MASKS = hnp.arrays(bool, (3, SIDE, SIDE))
CODES = hnp.arrays(np.uint16, (3, SIDE, SIDE), elements=st.integers(0, 65535))
FEW_CODES = hnp.arrays(np.uint16, (3, SIDE, SIDE), elements=st.sampled_from([0, 5, 32767, 32768, 65535]))


def histogram_of(maps: np.ndarray, masks: np.ndarray) -> PixelHistogram:
    histogram = PixelHistogram()
    for image, mask in zip(maps, masks, strict=True):
        histogram.add(image, truth_of(mask))
    return histogram


def blobs(n: int, side: int, spread: float, seed: int = 0, shift: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth maps [n,S,S] with log-odds of the given spread, and masks they follow to some degree."""
    random = np.random.default_rng(seed)
    maps, masks = [], []
    for index in range(n):
        field = cv2.GaussianBlur(random.normal(size=(side, side)), (0, 0), side / 16)
        field /= field.std()
        mask = field > 1.8 if index % 3 else np.zeros_like(field, dtype=bool)
        noise = cv2.GaussianBlur(random.normal(size=(side, side)), (0, 0), side / 40)
        maps.append(sigmoid(spread * (field + noise / noise.std() - 1) + shift))
        masks.append(mask)
    return np.array(maps), np.array(masks)


@settings(deadline=None)
@given(st.one_of(CODES, FEW_CODES), MASKS, st.sampled_from([0.01, 0.3, 0.5, 1.0]))
def test_exact_on_stored_values(codes: np.ndarray, masks: np.ndarray, limit: float) -> None:
    """Values of the storage grid fall one to a bin, so that even tiny sets agree; ties are common here."""
    maps = sigmoid(decode_logits(codes))
    found = histogram_of(maps, masks).metrics(limit)
    expected = exact.pixel_metrics(decode_logits(codes), masks, limit)
    assert list(found) == list(expected) == list(PIXEL_METRICS)
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-9)), name


@pytest.mark.parametrize("spread", [0.5, 2.0, 6.0, 12.0])
@pytest.mark.parametrize("shift", [-12.0, 0.0, 12.0])
def test_close_to_exact_on_smooth_maps_also_when_they_saturate(spread: float, shift: float) -> None:
    maps, masks = blobs(12, 256, spread, shift=shift)
    found = histogram_of(maps, masks).metrics(LIMIT)
    expected = exact.pixel_metrics(np.clip(to_logits(maps), -24, 24), masks, LIMIT)
    # 0.8 M pixels and some 40 regions; ties within a bin are a random error that falls with more of either
    tolerances = {"pixel_auroc": 2e-6, "pixel_ap": 1e-4, "pixel_f1max": 2e-4, "pixel_aupro": 5e-6}
    for name, tolerance in tolerances.items():
        assert found[name] == pytest.approx(expected[name], abs=tolerance), name


def test_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

    maps, masks = blobs(6, 256, 4.0)
    found = histogram_of(maps, masks).metrics(LIMIT)
    labels, scores = masks.ravel(), maps.ravel()
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    assert found["pixel_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-4)
    assert found["pixel_f1max"] == pytest.approx(np.nanmax(2 * precision * recall / (precision + recall)), abs=1e-4)


@settings(deadline=None, max_examples=30)
@given(CODES, MASKS, st.integers(0, 3), st.permutations([0, 1, 2]))
def test_parts_add_up_in_any_order(codes: np.ndarray, masks: np.ndarray, split: int, order: list[int]) -> None:
    maps = sigmoid(decode_logits(codes))
    whole = histogram_of(maps, masks)
    first, second = order[:split], order[split:]
    parts = histogram_of(maps[first], masks[first])
    parts.merge(histogram_of(maps[second], masks[second]))
    np.testing.assert_array_equal(parts.pixels, whole.pixels)
    np.testing.assert_array_equal(parts.positives, whole.positives)
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-12)
    assert parts.regions == whole.regions


@settings(deadline=None, max_examples=30)
@given(CODES, MASKS)
def test_metrics_lie_between_0_and_1_and_follow_ranks_only(codes: np.ndarray, masks: np.ndarray) -> None:
    halved = decode_logits(codes) / 2  # monotone, and still at most one stored value per bin after encoding
    found = histogram_of(sigmoid(decode_logits(codes)), masks).metrics(LIMIT)
    assert all(value is None or 0 <= value <= 1 for value in found.values())
    expected = exact.pixel_metrics(halved, masks, LIMIT)
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-9))


def test_perfect_constant_and_inverted_maps() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[2:6, 2:6] = mask[10:12, 10:19] = True
    base = mask.sum() / mask.size
    perfect = histogram_of(np.where(mask, 0.9, 0.1)[None], mask[None]).metrics(LIMIT)
    assert perfect == pytest.approx(dict.fromkeys(PIXEL_METRICS, 1.0))
    constant = histogram_of(np.full((1, 20, 20), 0.5), mask[None]).metrics(LIMIT)
    f1 = 2 * base / (1 + base)
    assert constant == pytest.approx(
        {"pixel_auroc": 0.5, "pixel_ap": base, "pixel_f1max": f1, "pixel_aupro": LIMIT / 2}
    )
    inverted = histogram_of(np.where(mask, 0.1, 0.9)[None], mask[None]).metrics(LIMIT)
    assert inverted["pixel_auroc"] == 0
    assert inverted["pixel_aupro"] == 0


def test_aupro_weighs_regions_and_not_pixels() -> None:
    """A found 1-pixel region and a missed 99-pixel one: overlap 1/2 from the first threshold on."""
    mask = np.zeros((30, 30), dtype=bool)
    mask[0, 0] = True
    mask[10:19, 10:21] = True
    image = np.where(mask, 0.1, 0.5)
    image[0, 0] = 0.9
    assert histogram_of(image[None], mask[None]).metrics(LIMIT)["pixel_aupro"] == pytest.approx(0.5)


def test_regions_touching_at_a_corner_are_one() -> None:
    mask = np.eye(4, dtype=bool)
    truth = truth_of(mask)
    assert truth.regions == 1
    np.testing.assert_allclose(truth.weights, 0.25)


@pytest.mark.parametrize("fill", [False, True])
def test_one_class_only_is_undefined(fill: bool) -> None:
    masks = np.full((2, 5, 5), fill)
    assert histogram_of(np.full((2, 5, 5), 0.3), masks).metrics(LIMIT) == dict.fromkeys(PIXEL_METRICS)
    assert PixelHistogram().metrics(LIMIT) == dict.fromkeys(PIXEL_METRICS)


@pytest.mark.parametrize("bad", [-1e-9, 1 + 1e-9, np.nan, np.inf, 5.0])
def test_anything_but_probabilities_is_refused(bad: float) -> None:
    image = np.full((4, 4), 0.5)
    image[1, 1] = bad
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        PixelHistogram().add(image, truth_of(np.zeros((4, 4), dtype=bool)))


def test_bins_are_the_steps_of_stored_maps() -> None:
    codes = np.arange(BINS, dtype=np.uint16)
    np.testing.assert_array_equal(bin_of(sigmoid(decode_logits(codes))[None])[0], codes)
    np.testing.assert_array_equal(bin_of(np.array([[0.0, 1.0]])), encode_logits(np.array([[-99.0, 99.0]])))


def test_bins_rise_with_probability() -> None:
    values = np.sort(np.concatenate([np.linspace(0, 1, 20001), sigmoid(np.linspace(-30, 30, 20001))]))
    assert (np.diff(bin_of(values[None])[0].astype(int)) >= 0).all()


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    def peak(n: int) -> int:
        random = np.random.default_rng(0)
        histogram = PixelHistogram()
        tracemalloc.start()
        for _ in range(n):
            histogram.add(random.random((128, 128)), truth_of(random.random((128, 128)) > 0.9))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(2)  # first use allocates tables
    assert peak(200) < peak(10) + 64 * 1024
