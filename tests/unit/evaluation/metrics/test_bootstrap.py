"""Draws of pictures against the same metrics computed anew from the pictures of each draw."""

import numpy as np
import pytest

from zsad.evaluation.metrics.bootstrap import (
    SAMPLE,
    PixelDraws,
    draw_pictures,
    image_draws,
    in_sample_order,
    interval,
    mean_draws,
    standard_error,
)
from zsad.evaluation.metrics.histogram import PixelHistogram, truth_of
from zsad.evaluation.metrics.image import image_metrics
from zsad.evaluation.metrics.names import IMAGE_METRICS, PIXEL_METRICS

LABELS = np.array([0, 1, 0, 1, 1, 0, 0, 1, 0])


def test_draws_keep_both_counts_and_are_the_same_for_everybody() -> None:
    times = draw_pictures(LABELS, "set/cup", draws=200)
    assert (times[0] == 1).all()
    assert (times[:, LABELS == 1].sum(1) == 4).all()
    assert (times[:, LABELS == 0].sum(1) == 5).all()
    assert (times == draw_pictures(LABELS, "set/cup", draws=200)).all()
    assert (times != draw_pictures(LABELS, "set/nut", draws=200)).any()
    assert abs(times[1:].mean(0) - 1).max() < 0.25


def test_image_metrics_of_a_draw_are_those_of_its_pictures() -> None:
    """Ties are steps of their own, in every draw."""
    scores = np.array([0.1, 0.9, 0.5, 0.5, 0.2, 0.3, 0.9, 0.8, 0.1])
    times = draw_pictures(LABELS, "set/cup", draws=120)
    draws = image_draws(scores, LABELS, times)
    for row, drawn in enumerate(times):
        exact = image_metrics(np.repeat(scores, drawn), np.repeat(LABELS, drawn))
        assert [draws[metric][row] for metric in IMAGE_METRICS] == pytest.approx([exact[m] for m in IMAGE_METRICS])


def pictures(count: int, kind: str) -> list[PixelHistogram]:
    """Maps of 40 × 40 with two marked regions in every second one; `kind`: where their log-odds lie."""
    random, found = np.random.default_rng(5), []
    for index in range(count):
        mask = np.zeros((40, 40), dtype=bool)
        if index % 2:
            mask[5 : 8 + index % 7, 5:12] = mask[25:29, 20 : 22 + index % 9] = True
        logits = random.normal(0, 1, (40, 40)) + mask * random.normal(2, 1)
        logits = {"wide": logits * 4, "narrow": logits * 0.01, "saturated": np.clip(logits * 30, -24, 24)}[kind]
        found.append(PixelHistogram())
        found[-1].add(1 / (1 + np.exp(-logits)), truth_of(mask))
    return found


@pytest.mark.parametrize("kind", ["wide", "narrow", "saturated"])
@pytest.mark.parametrize("count", [7, SAMPLE, 50])
def test_pixel_metrics_of_a_draw_are_near_those_of_its_pictures(kind: str, count: int) -> None:
    """A few hundred bins instead of 65,536: changes are off by a tenth of what they are, at most."""
    found = pictures(count, kind)
    times = draw_pictures(np.arange(count) % 2, "set/cup", draws=20)
    draws = PixelDraws(times)
    for position in in_sample_order(list(range(count))):
        draws.add(position, found[position])
    values, exact = draws.metrics(0.3), [metrics_of(found, drawn) for drawn in times]
    for metric in PIXEL_METRICS:
        wanted = np.array([one[metric] for one in exact])
        spread = wanted.std()
        assert values[metric] - values[metric][0] == pytest.approx(wanted - wanted[0], abs=max(0.1 * spread, 5e-4))


def metrics_of(found: list[PixelHistogram], drawn: np.ndarray) -> dict[str, float | None]:
    """The metrics of pictures that are there `drawn` times each."""
    whole = PixelHistogram()
    for picture, times in zip(found, drawn, strict=True):
        for _ in range(times):
            whole.merge(picture)
    return whole.metrics(0.3)


def test_the_first_pictures_are_spread_over_the_category() -> None:
    order = in_sample_order(list(range(0, 300, 3)))
    assert sorted(order) == list(range(0, 300, 3))
    assert max(order[:SAMPLE]) > 200
    assert in_sample_order([4, 7]) == [4, 7]


def test_an_interval_covers_what_other_pictures_give() -> None:
    """Sets of 30 + 30 pictures whose true AUROC is known: 95 % of the intervals hold it, within a few."""
    random, true, held, errors, found = np.random.default_rng(0), 0.8413, 0, [], []  # Φ(√2 / √2)
    labels = np.repeat([0, 1], 30)
    for repeat in range(150):
        scores = random.normal(labels * np.sqrt(2), 1)
        draws = image_draws(scores, labels, draw_pictures(labels, f"{repeat}", draws=300))["image_auroc"]
        low, high = interval(draws, float(draws[0]))
        held += low <= true <= high
        errors.append(standard_error(draws))
        found.append(draws[0])
    assert 0.88 <= held / 150 <= 0.99
    assert np.mean(errors) == pytest.approx(np.std(found, ddof=1), rel=0.2)


def test_an_interval_lies_about_the_finer_value() -> None:
    draws = np.array([0.5, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert interval(draws, 0.6) == pytest.approx((0.41, 0.79))
    assert interval(draws, 0.9) == pytest.approx((0.71, 1.0))


def test_a_draw_without_meaning_is_left_out_of_a_mean() -> None:
    mean = mean_draws([np.array([0.2, np.nan, np.nan]), np.array([0.4, 0.6, np.nan])])
    assert mean[:2] == pytest.approx([0.3, 0.6])
    assert np.isnan(mean[2])
