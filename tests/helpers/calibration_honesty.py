"""Do thresholds by false-alarm rate keep what they promise, on real normal pictures?

    python -m tests.helpers.calibration_honesty MODEL FOLDER ... [--cut 4] [--splits 200]

The folders together are one set of normal pictures, scored once. Each split draws n of them to calibrate and counts
alarms among the others. `--cut 4` cuts every picture into 4 x 4 first: so many pieces that the share of alarms among
the others is nearly the rate that the Beta interval speaks of; with whole pictures it is a small sample of it, and the
beta-binomial interval of `zsad calibrate --check` is what holds.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import betabinom

from zsad.common.progress import progress
from zsad.inference.calibration import Calibration, calibrate
from zsad.inference.drift import compare
from zsad.inference.maps import Floats
from zsad.inference.model import open_picture
from zsad.inference.normals import pictures_in
from zsad.tracking.loading import load

RATES = (0.01, 0.05, 0.1, 0.2)
LEVEL = 0.95
COLUMNS = ("α", "n", "others", "expected", "alarms, mean", "of maps, mean", "in the Beta interval", "as many as fit")


def pieces(folders: list[Path], cut: int) -> Iterator[Image.Image]:
    """Every picture in `cut` × `cut` pieces of equal size."""
    paths = [path for folder in folders for path in pictures_in(folder)]
    for path in progress(paths, len(paths), "scoring"):
        picture = open_picture(path)
        width, height = picture.width // cut, picture.height // cut
        corners = [(x * width, y * height) for y in range(cut) for x in range(cut)]
        yield from (picture.crop((x, y, x + width, y + height)) for x, y in corners)


def measure(values: Floats, n: int, false_alarms: float, splits: int) -> tuple[Calibration, Floats]:
    """values [N, 2]: score and largest map value of each picture. Returns a calibration by n of them, and of each split
    [splits, 5]: share of alarms, share of pictures with a region, whether the first is in the Beta interval, whether
    the alarms are as many as fit, whether a check says drifted."""
    draw, found = np.random.default_rng(0), []
    for _ in range(splits):
        order = draw.permutation(len(values))
        used, others = values[order[:n]], values[order[n:]]
        one = calibrate("SPLIT", false_alarms, used[:, 0].tolist(), used[:, 1].tolist(), checkpoint_sha256="")
        rate = np.mean([one.label(score) for score in others[:, 0]])
        low, high = one.interval(LEVEL)
        fits = betabinom(len(others), n + 1 - one.rank, one.rank).interval(LEVEL)
        drifted = bool(compare(one, others[:, 0]).reasons)
        regions = np.mean(others[:, 1] > one.pixel_threshold)
        as_many = fits[0] <= round(rate * len(others)) <= fits[1]
        found.append((rate, regions, low <= rate <= high, as_many, drifted))
    return one, np.array(found, dtype=np.float64)


def report(values: Floats, splits: int) -> None:
    """A row for each rate: half of the pictures calibrate, or as many as the rate needs."""
    print(f"| {' | '.join(COLUMNS)} | called drifted |\n|{'--:|' * (len(COLUMNS) + 1)}")
    for false_alarms in RATES:
        n = max(len(values) // 2, round(1 / false_alarms) - 1) if len(values) < 1000 else 124
        one, found = measure(values, n, false_alarms, splits)
        means, error = found.mean(0), found[:, 0].std() / np.sqrt(splits)
        cells = [false_alarms, n, len(values) - n, f"{one.expected:.4f}", f"{means[0]:.4f} ± {error:.4f}"]
        print(f"| {' | '.join(map(str, cells))} | {' | '.join(f'{mean:.3f}' for mean in means[1:])} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--cut", type=int, default=1)
    parser.add_argument("--splits", type=int, default=200)
    options = parser.parse_args()
    results = load(options.model).predict_batch(pieces(options.folders, options.cut))
    values = np.array([(result.score, result.map.max()) for result in results])
    print(f"{len(values)} pictures, {len(np.unique(values[:, 0]))} different scores, {options.splits} splits\n")
    report(values, options.splits)


if __name__ == "__main__":
    main()
