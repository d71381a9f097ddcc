"""Pictures of folders and buckets → parts of rows: what `zsad predict --engine ray` does.

Ray Data streams: tasks read and decode, actors score and write, this process counts. How much is on its way at once is
bounded by Ray's back-pressure, so memory does not grow with the pictures but for their names.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow

from zsad.common.errors import UserError
from zsad.inference.buckets.cluster import Cluster, joined, user_error
from zsad.inference.buckets.parts import SCORES, Parts, Waiting, claimed
from zsad.inference.buckets.places import Place, list_pictures
from zsad.inference.buckets.reading import read_pictures
from zsad.inference.buckets.scoring import Scorer, Work, colours, pixel_threshold
from zsad.inference.pictures.opening import PICTURE_SUFFIXES
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.pace import Pace
from zsad.inference.pictures.run import settings_of
from zsad.inference.pictures.sources import STDIN
from zsad.inference.pictures.summary import Summary

if TYPE_CHECKING:
    from zsad.inference.model import Predictor

PART = 256  # pictures of a part at most: what a crash of a worker costs
SHARES = 4  # parts for each worker at least, so that none waits long for another


def predict_places(
    load: Callable[[str | None], "Predictor"],
    sources: Sequence[str],
    out: str,
    options: Options,
    told: Mapping[str, Any] | None = None,
    workers: int | None = None,
    maps: bool = False,
) -> Summary:
    """Score the pictures at or below `sources` into `out`, addresses that fsspec opens; what is done there is kept.

    load: the model, on a device (None: the one that was asked for); workers: with the model, default one a GPU, else
    one a core; maps: write heatmaps and overlays.
    """
    _check(sources, options, workers)
    known = load("cpu")
    known.category(options.category)
    if maps and colours(pixel_threshold(known, options), options) is None:
        raise UserError("--maps: workers must know what colours span; say --scale, --pixel-threshold or --calibration")
    asked = {**settings_of(known, options, told), "engine": "ray", "maps": maps}
    del known
    place = Place(out)
    waiting = _listed(sources, place)
    summary = Summary(f"{place.address}/{SCORES}")
    with claimed(place, asked, options.anew) as token:
        parts = Parts(place, token)
        parts.tidy(waiting, retry=True)
        left = {path: stamp for path, stamp in waiting.items() if stamp}
        summary.kept = len(waiting) - len(left)
        del waiting
        work = Work(partial(load, None), os.getcwd(), place.absolute, token, options, maps)  # noqa: PTH109
        _score(left, work, workers, summary)
        _finish(parts, left, summary)
    return summary


def _check(sources: Sequence[str], options: Options, workers: int | None) -> None:
    options.check(sources)
    if STDIN in sources or options.watch:
        raise UserError("--engine ray: takes folders and addresses; a list on stdin and --watch go without it")
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: at least 1")


def _listed(sources: Sequence[str], out: Place) -> Waiting:
    found = dict(sorted(one for source in sources for one in list_pictures(source, out)))
    if not found:
        raise UserError(f"{', '.join(sources)}: no pictures there ({', '.join(PICTURE_SUFFIXES)})")
    return dict(found)


def _score(left: Mapping[str, str | None], work: Work, workers: int | None, summary: Summary) -> None:
    if left:
        pace = Pace()
        pace.expect(len(left))
        with joined(workers) as cluster:
            try:
                for error in pace.along(_errors(left, work, cluster)):
                    if error:
                        summary.add_failure(error)
            except Exception as error:
                raise user_error(error) or error from error
        summary.pace = str(pace)
    else:
        summary.pace = str(Pace())


def _errors(left: Mapping[str, str | None], work: Work, cluster: Cluster) -> Iterator[str]:
    """Why each picture could not be read, empty where it was scored; in no order."""
    import ray.data

    paths, stamps = list(left), list(left.values())
    size = min(PART, -(-len(paths) // (SHARES * cluster.workers)))
    blocks = [
        pyarrow.table({"path": paths[i : i + size], "stamp": stamps[i : i + size]}) for i in range(0, len(paths), size)
    ]
    read = ray.data.from_arrow(blocks).map_batches(
        read_pictures,
        fn_kwargs={"bits": work.options.bits, "directory": work.directory},
        batch_size=None,
        batch_format="pyarrow",
        **cluster.reading,
    )
    scored = read.map_batches(
        Scorer, fn_constructor_args=(work,), batch_size=None, batch_format="pyarrow", **cluster.scoring
    )
    for batch in scored.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield from batch.column("error").to_pylist()


def _finish(parts: Parts, left: Mapping[str, str | None], summary: Summary) -> None:
    """Count what is there. RuntimeError where a picture has no row, which nothing should be able to bring about."""
    waiting = dict(left)
    labels = parts.tidy(waiting, retry=False)
    if lost := [path for path, stamp in waiting.items() if stamp]:
        raise RuntimeError(f"{summary.table}: {len(lost)} pictures have no row, {lost[0]} among them; run it again")
    summary.rows = sum(labels.values())
    summary.anomalous = labels[1] if labels.keys() & {0, 1} else None
