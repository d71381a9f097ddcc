"""Pictures that learners find easiest and hardest, each learner's map beside the ground truth.

How well a picture is found is its *standing*: an anomalous one is above this share of its category's normal pictures,
a normal one below this share of the anomalous ones. Pictures are ranked by the mean over learners.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zsad.common.errors import UserError
from zsad.datasets.manifest import Manifest
from zsad.evaluation.category import image_scores
from zsad.evaluation.report.material import Material, Stored
from zsad.evaluation.report.tiles import SIDE, data_uri, outlined, overlaid, picture_tile
from zsad.evaluation.score import by_category
from zsad.inference.maps import Floats

MOST_TILES = 900  # of all datasets; a tile is about 3 kB of the page
LOWEST, HIGHEST = 1.0, 99.5  # percentiles of a learner's maps that are shown of a dataset: what its colours span
NOT_HERE = "the predictions that these results were made from, or their pictures, are not here; run `dvc pull`"


class Tile(NamedTuple):
    """An image, its title, what it shows in words, and the standing of the picture for this learner."""

    uri: str
    title: str
    alt: str
    standing: float | None = None


class Strip(NamedTuple):
    """One picture: why it is shown, its path, its tiles."""

    kind: str
    path: str
    tiles: list[Tile]


class Gallery(NamedTuple):
    """One dataset's strips, or why there are none."""

    dataset: str
    strips: list[Strip]
    why_not: str = ""


class _Pick(NamedTuple):
    kind: str
    image: int


def galleries(material: Material) -> list[Gallery]:
    """One for each dataset, as many strips as there is room for."""
    datasets = [dataset for dataset in material.datasets if material.stored_on(dataset)]
    tiles = max(1, sum(1 + len(material.stored_on(dataset)) for dataset in datasets))
    each = int(np.clip(MOST_TILES // tiles, 2, 6))
    return [_gallery(material.stored_on(dataset), dataset, each) for dataset in material.datasets]


def standings(stored: Stored) -> dict[int, float]:
    """{image: its standing, mean over seeds}; none where only one label is there."""
    rows, info = stored.manifest.test, stored.predictions.info
    found: dict[int, float] = {}
    for name, images in by_category(stored.manifest):
        labels = np.array([rows[image].label for image in images])
        if name in info.left_out or not stored.manifest.has_image_labels or len(set(labels.tolist())) < 2:
            continue
        fuse = stored.manifest.has_pixel_labels
        seeds = [
            _standing(image_scores(stored.predictions, seed, name, images, fuse), labels == 1) for seed in info.seeds
        ]
        found |= dict(zip(images, np.mean(seeds, axis=0).tolist(), strict=True))
    return found


def _standing(scores: Floats, anomalous: np.ndarray) -> Floats:
    """Share of the other label's pictures on whose right side each of `scores` [n] stands; ties count half."""
    result = np.zeros(len(scores))
    for side, sign in ((anomalous, 1), (~anomalous, -1)):
        others = np.sort(sign * scores[~side])
        left, right = (np.searchsorted(others, sign * scores[side], side=s) for s in ("left", "right"))
        result[side] = (left + right) / 2 / len(others)
    return result


def _pick(stored: Sequence[Stored], places: Mapping[str, Mapping[int, float]], count: int) -> list[_Pick]:
    """Best and worst anomalous pictures and the worst normal one; other categories first, so that not all are alike."""
    rows = stored[0].manifest.test
    every = list(places.values())
    means = {
        image: float(np.mean([one[image] for one in every])) for image in every[0] if all(image in o for o in every)
    }
    if not means:
        return [_Pick("not chosen by result", image) for image in range(len(rows)) if rows[image].label][:count]
    normal = [image for image in means if not rows[image].label]
    anomalous = [image for image in means if rows[image].label]
    best = _spread(sorted(anomalous, key=lambda image: -means[image]), rows)[: count // 2]
    worst = _spread(sorted((i for i in anomalous if i not in best), key=lambda image: means[image]), rows)
    alarms = [_Pick("false alarm", min(normal, key=lambda image: means[image]))] if count > 2 else []
    found = [*(_Pick("found best", i) for i in best)]
    return found + [_Pick("found worst", i) for i in worst[: count - len(best) - len(alarms)]] + alarms


def _spread(order: Sequence[int], rows: Sequence) -> list[int]:
    """The first of each category, then the others, each in their order."""
    firsts: dict[str, int] = {}
    for image in order:
        firsts.setdefault(rows[image].category, image)
    return [*firsts.values(), *(image for image in order if image not in firsts.values())]


def _map(stored: Stored, image: int) -> Floats:
    """The first seed's map of one image at the size of a tile."""
    return stored.predictions.full_map(stored.predictions.info.seeds[0], image, (SIDE, SIDE))


def _spans(stored: Sequence[Stored], picks: Sequence[_Pick]) -> dict[str, tuple[float, float]]:
    """{learner: the values between which its colours go}, the same for every shown picture of the dataset."""
    maps = {one.cell["learner"]: [_map(one, pick.image) for pick in picks] for one in stored}
    return {learner: tuple(np.percentile(own, [LOWEST, HIGHEST])) for learner, own in maps.items()}


def _gallery(stored: Sequence[Stored], dataset: str, count: int) -> Gallery:
    if not stored:
        return Gallery(dataset, [], NOT_HERE)
    places = {one.cell["learner"]: standings(one) for one in stored}
    picks = _pick(stored, places, count)
    spans = _spans(stored, picks)
    try:
        return Gallery(dataset, [_strip(stored, pick, spans, places) for pick in picks])
    except UserError as error:
        return Gallery(dataset, [], str(error))


def _strip(
    stored: Sequence[Stored],
    pick: _Pick,
    spans: Mapping[str, tuple[float, float]],
    places: Mapping[str, Mapping[int, float]],
) -> Strip:
    manifest: Manifest = stored[0].manifest
    row = manifest.test[pick.image]
    picture = picture_tile(manifest, row)
    truth = f"{row.path}, " + ("its anomalous region outlined" if row.mask else "no region marked")
    tiles = [Tile(data_uri(outlined(picture, manifest, row)), "ground truth", truth)]
    for one in stored:
        learner = one.cell["learner"]
        shown = outlined(overlaid(picture, _map(one, pick.image), *spans[learner]), manifest, row)
        tiles.append(Tile(data_uri(shown), learner, f"{learner}: map over {row.path}", places[learner].get(pick.image)))
    return Strip(pick.kind, row.path, tiles)
