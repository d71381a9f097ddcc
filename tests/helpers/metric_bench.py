"""Pixel metrics of many pixels: time, memory and error of ours beside the exact sort, scikit-learn, torchmetrics and
the official codes' 200 steps.

    python -m tests.helpers.metric_bench [--images 122] [--side 512] [WAY...]

Each way runs in a process of its own, with one thread. Wants `pip install torchmetrics`.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from zsad.evaluation.metrics import reference
from zsad.evaluation.metrics.bootstrap import PixelDraws, draw_pictures, in_sample_order
from zsad.evaluation.metrics.histogram import PixelHistogram, truth_of

Image = tuple[NDArray[np.float64], NDArray[np.bool_]]
LIMIT = 0.3


def image(index: int, side: int) -> Image:
    """A map that half the time marks two regions, well but not perfectly."""
    random = np.random.default_rng(index)
    mask = np.zeros((side, side), dtype=bool)
    if index % 2:
        mask[side // 8 : side // 5, side // 8 : side // 3] = mask[side // 2 : side // 2 + 9, 30 : 40 + index % 50] = (
            True
        )
    return 1 / (1 + np.exp(-random.normal(-4 + 3 * mask, 2))), mask


def everything(images: int, side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """All pixels at once, as the others want them."""
    pairs = [image(index, side) for index in range(images)]
    return np.stack([one.astype(np.float32) for one, _ in pairs]), np.stack([mask for _, mask in pairs])


def ours(images: int, side: int) -> dict[str, float | None]:
    whole = PixelHistogram()
    for index in range(images):
        scores, mask = image(index, side)
        with measured():
            whole.add(scores, truth_of(mask))
    with measured():
        return whole.metrics(LIMIT)


def ours_with_draws(images: int, side: int) -> dict[str, float | None]:
    whole, draws = PixelHistogram(), PixelDraws(draw_pictures(np.arange(images) % 2, "bench"))
    for index in in_sample_order(list(range(images))):
        scores, mask = image(index, side)
        with measured():
            one = PixelHistogram()
            one.add(scores, truth_of(mask))
            whole.merge(one)
            draws.add(index, one)
    with measured():
        draws.metrics(LIMIT)
        return whole.metrics(LIMIT)


def exact(images: int, side: int) -> dict[str, float | None]:
    maps, masks = everything(images, side)
    with measured():
        return reference.pixel_metrics(list(maps), list(masks), LIMIT)


def sklearn(images: int, side: int) -> dict[str, float | None]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    maps, masks = everything(images, side)
    with measured():
        scores, labels = maps.ravel(), masks.ravel()
        return {
            "pixel_auroc": float(roc_auc_score(labels, scores)),
            "pixel_ap": float(average_precision_score(labels, scores)),
        }


def torchmetrics(images: int, side: int) -> dict[str, float | None]:
    return _torchmetrics(images, side, None)


def torchmetrics_200(images: int, side: int) -> dict[str, float | None]:
    return _torchmetrics(images, side, 200)


def _torchmetrics(images: int, side: int, thresholds: int | None) -> dict[str, float | None]:
    import torch
    from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

    torch.set_num_threads(1)
    maps, masks = (torch.from_numpy(array) for array in everything(images, side))
    with measured():
        auroc, ap = (kind(thresholds=thresholds) for kind in (BinaryAUROC, BinaryAveragePrecision))
        for scores, mask in zip(maps, masks, strict=True):
            auroc.update(scores.flatten(), mask.flatten().int())
            ap.update(scores.flatten(), mask.flatten().int())
        return {"pixel_auroc": float(auroc.compute()), "pixel_ap": float(ap.compute())}


def official_200_steps(images: int, side: int) -> dict[str, float | None]:
    maps, masks = everything(images, side)
    with measured():
        return {"pixel_aupro": reference.aupro_steps(list(maps), list(masks), LIMIT)}


WAYS: dict[str, Callable[[int, int], dict[str, float | None]]] = {
    way.__name__: way
    for way in (ours, ours_with_draws, exact, sklearn, torchmetrics, torchmetrics_200, official_200_steps)
}


class measured:  # noqa: N801  # reads as a verb
    """Adds up the processor time of its blocks; drawing the pictures is not part of it."""

    seconds = 0.0

    def __enter__(self) -> None:
        self._start = time.process_time()

    def __exit__(self, *_: object) -> None:
        measured.seconds += time.process_time() - self._start


def run(way: str, images: int, side: int) -> dict[str, float | None]:
    values = WAYS[way](images, side)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": measured.seconds, "peak_MiB": peak, **values}


def rows(ways: list[str], images: int, side: int) -> Iterator[str]:
    """A line a way; errors against the exact sort where that was asked for."""
    known: dict[str, dict[str, float]] = {}
    for way in ways:
        command = [sys.executable, "-m", __spec__.name, "--one", way, "--images", str(images), "--side", str(side)]
        known[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        yield (
            f"| {way} | {known[way]['seconds']:.1f} | {known[way]['peak_MiB']:.0f} | "
            + " | ".join(
                _error(known[way].get(metric), known.get("exact", {}).get(metric)) for metric in reference_metrics()
            )
            + " |"
        )


def reference_metrics() -> tuple[str, ...]:
    return ("pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_aupro")


def _error(value: float | None, true: float | None) -> str:
    return "" if value is None else f"{value:.6f}" if true is None else f"{value - true:+.1e}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=122)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--one")
    parser.add_argument("ways", nargs="*", default=["exact", *(way for way in WAYS if way != "exact")])
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.one, options.images, options.side)))
        return
    print(f"| way | seconds of a core | peak MiB | {' | '.join(reference_metrics())} |\n|---|--:|--:|--:|--:|--:|--:|")
    for row in rows(options.ways, options.images, options.side):
        print(row, flush=True)


if __name__ == "__main__":
    main()
