"""Maps against torch, scipy, and their own inverse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from zsad.inference import maps

TORCH_MODES = {
    "nearest": {"mode": "nearest"},
    "bilinear": {"mode": "bilinear", "align_corners": False},
    "bilinear_corners": {"mode": "bilinear", "align_corners": True},
}


def random_map(h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((h, w))


@pytest.mark.parametrize("mode", maps.UPSAMPLE_MODES)
@pytest.mark.parametrize("source", [(1, 1), (1, 5), (7, 7), (14, 15), (37, 37)])
@pytest.mark.parametrize("target", [(1, 1), (5, 3), (14, 14), (15, 28), (37, 74), (112, 112), (518, 240)])
def test_upsample_is_torch_interpolate(mode: str, source: tuple[int, int], target: tuple[int, int]) -> None:
    import torch

    values = random_map(*source)
    expected = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], size=target, **TORCH_MODES[mode])
    np.testing.assert_allclose(maps.upsample(values, target, mode), expected[0, 0].numpy(), atol=1e-6, rtol=0)


def test_nearest_agrees_with_torch_at_every_small_size() -> None:
    import torch

    for source in range(1, 40, 3):
        values = np.arange(source, dtype=np.float32)[None]  # torch itself differs between precisions
        for target in range(1, 120, 7):
            expected = torch.nn.functional.interpolate(torch.from_numpy(values)[None], size=target, mode="nearest")
            np.testing.assert_array_equal(maps.upsample(values, (1, target), "nearest"), expected[0].numpy())


@pytest.mark.parametrize("sigma", [0.3, 0.86, 1.7, 4.0, 10.0])
@pytest.mark.parametrize("size", [(3, 3), (9, 40), (112, 112), (120, 65)])
def test_smooth_is_scipy_gaussian_filter(sigma: float, size: tuple[int, int]) -> None:
    values = random_map(*size)
    np.testing.assert_allclose(maps.smooth(values, sigma), gaussian_filter(values, sigma), atol=1e-6, rtol=0)


def test_smooth_by_zero_changes_nothing() -> None:
    values = random_map(6, 5)
    assert maps.smooth(values, 0.0) is values


@settings(deadline=None)
@given(st.floats(-40, 40))
def test_codes_keep_log_odds_to_half_a_step(logit: float) -> None:
    limited = min(max(logit, -maps.LOGIT_LIMIT), maps.LOGIT_LIMIT)
    assert abs(maps.decode_logits(maps.encode_logits(np.array(logit))) - limited) <= 24 / 65535 + 1e-12


def test_codes_survive_the_way_through_probabilities() -> None:
    codes = np.arange(65536, dtype=np.uint16)
    probabilities = maps.sigmoid(maps.decode_logits(codes))
    np.testing.assert_array_equal(maps.encode_logits(maps.to_logits(probabilities)), codes)


def test_to_logits_limits_certainty() -> None:
    np.testing.assert_array_equal(maps.to_logits(np.array([0.0, 0.5, 1.0])), [-24, 0, 24])


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        maps.encode_logits(np.array([[0.0, np.nan]]))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(maps.UPSAMPLE_MODES), st.integers(1, 9), st.integers(1, 40), st.floats(0, 0.1), st.integers(0, 9)
)
def test_full_map_is_decode_sigmoid_upsample_smooth(mode: str, side: int, size: int, sigma: float, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 20, (side, side))
    full = maps.full_map(maps.encode_logits(logits), (size, 2 * size), mode, sigma)
    assert full.shape == (size, 2 * size)
    assert full.min() >= 0
    assert full.max() <= 1
    steps = maps.upsample(1 / (1 + np.exp(-np.clip(logits, -24, 24))), (size, 2 * size), mode)
    expected = gaussian_filter(steps, sigma * 1.5 * size) if sigma > 0 else steps
    np.testing.assert_allclose(full, expected, atol=2e-4)


@pytest.mark.parametrize("mode", maps.UPSAMPLE_MODES)
@pytest.mark.parametrize(("source", "target"), [((14, 14), (112, 112)), ((9, 5), (40, 90)), ((37, 37), (20, 518))])
def test_both_steps_as_products_are_the_steps(mode: str, source: tuple[int, int], target: tuple[int, int]) -> None:
    values, sigma = random_map(*source), 0.02 * sum(target)
    rows, columns = (maps._both_steps(*pair, mode, sigma) for pair in zip(source, target, strict=True))
    steps = maps.smooth(maps.upsample(values, target, mode), sigma)
    np.testing.assert_allclose(rows @ values @ columns.T, steps, rtol=0, atol=1e-14)


def test_a_large_map_of_a_small_one_is_no_filter_over_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered: list[tuple[int, ...]] = []
    monkeypatch.setattr(maps, "smooth", lambda full, sigma: filtered.append(full.shape) or full)
    small = maps.encode_logits(random_map(14, 14))
    maps.full_map(small, (112, 120), "nearest", 0.01)
    assert filtered == []
    maps.full_map(maps.encode_logits(random_map(112, 112)), (112, 112), "nearest", 0.01)
    assert filtered == [(112, 112)]


def test_a_saturated_map_keeps_its_order() -> None:
    codes = maps.encode_logits(np.array([[20.0, 20.1], [20.0, 20.1]]))
    full = maps.full_map(codes, (16, 16), "bilinear", 0.0)
    assert (np.diff(full[0, 4:12]) > 0).all()
