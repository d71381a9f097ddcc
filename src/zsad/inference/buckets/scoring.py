"""A worker: one model, tables of decoded pictures in, a part of rows out, heatmaps and overlays where asked for."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow

from zsad.common.cpu import settle
from zsad.inference.buckets.parts import MAPS, Parts, Row
from zsad.inference.buckets.places import Place
from zsad.inference.buckets.reading import Read, unpacked
from zsad.inference.pictures import table
from zsad.inference.pictures.decoding import in_batches
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.outputs import encoded
from zsad.inference.pictures.regions import find_regions
from zsad.inference.render import Scale, scale_above

if TYPE_CHECKING:
    from zsad.inference.model import Predictor, Result

REMEMBERED = 20_000  # contents whose answer a worker keeps, so that a copy of one is not scored again
ERRORS = pyarrow.schema([("error", pyarrow.string())])


@dataclass(frozen=True)
class Work:
    """What a worker is told. load: the model, on its own device; directory: where the driver runs; maps: write them."""

    load: Callable[[], "Predictor"]
    directory: str
    out: str
    token: str
    options: Options
    maps: bool


class Scorer:
    """What an actor holds."""

    def __init__(self, work: Work) -> None:
        settle(deterministic=False, threads=1)
        os.chdir(work.directory)
        self._predictor = work.load()
        settle(deterministic=False, threads=1)  # torch is there by now
        self._options = work.options
        self._place = Place(work.out)
        self._parts = Parts(self._place, work.token)
        self._threshold = pixel_threshold(self._predictor, work.options)
        self._scale = colours(self._threshold, work.options) if work.maps else None
        self._known: OrderedDict[str, Row] = OrderedDict()

    def __call__(self, pictures: pyarrow.Table) -> pyarrow.Table:
        """Score them, write their part, and give what could not be read: error [pictures], empty where all is well."""
        rows = list(self._rows(unpacked(pictures)))
        self._parts.add(rows)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return pyarrow.Table.from_pylist([{"error": row["error"]} for row in rows], ERRORS)

    def _rows(self, pictures: Iterator[Read]) -> Iterator[Row]:
        for batch in in_batches(self._first_of_each(pictures), self._options.batch_size):
            fresh = [one for one in batch if one.picture]
            self._known |= zip([str(one.sha256) for one in fresh], self._answers(fresh), strict=True)
            yield from map(self._row, batch)

    def _first_of_each(self, pictures: Iterator[Read]) -> Iterator[Read]:
        """The same; copies of what is known or comes before go without their pixels."""
        met: set[str | None] = set()
        for one in pictures:
            copy = one.sha256 in self._known or one.sha256 in met
            met.add(one.sha256)
            yield one._replace(picture=None) if copy else one

    def _answers(self, fresh: Sequence[Read]) -> Iterator[Row]:
        """What the model says of pictures. Where neither regions nor drawings are asked for, no map is enlarged."""
        pictures = [one.picture for one in fresh if one.picture]
        if not pictures:
            return
        category = self._predictor.category(self._options.category)
        if self._threshold is None and self._scale is None:
            name = self._predictor.prompt_name(category, self._options.prompt_name)
            yield from ({"score": float(score)} for score in self._predictor.scored(pictures, category, name)[0])
            return
        asked = {"prompt_name": self._options.prompt_name, "category": self._options.category}
        yield from map(self._answer, fresh, self._predictor.predict_batch(pictures, self._options.batch_size, **asked))

    def _answer(self, one: Read, result: "Result") -> Row:
        regions = [] if self._threshold is None else find_regions(result.map, self._threshold)
        if self._scale is not None and one.picture is not None:
            for kind, content in encoded(one.picture, result.map, self._scale, regions).items():
                self._place.write(f"{MAPS}/{one.sha256}.{kind}.png", content)
        told = None if self._threshold is None else [region.as_dict() for region in regions]
        answer = {"score": result.score, "label": result.label, "threshold": result.threshold}
        return answer | {"percentile": result.percentile, "regions": told}

    def _row(self, one: Read) -> Row:
        own = {"path": one.path, "error": one.error, "size": one.size, "sha256": one.sha256, "stamp": one.stamp}
        answer = {} if one.error else self._known[str(one.sha256)]
        return dict.fromkeys(table.COLUMNS) | answer | own


def pixel_threshold(predictor: "Predictor", options: Options) -> float | None:
    """Above which value of the map regions lie: as asked, or by the calibration."""
    if options.pixel_threshold is None and predictor.calibration:
        return predictor.calibration.pixel_threshold
    return options.pixel_threshold


def colours(threshold: float | None, options: Options) -> Scale | None:
    """What overlays' colours span, where that is known before any picture is seen."""
    if options.scale:
        return Scale(options.scale[0], options.scale[1])
    return None if threshold is None else scale_above(threshold)
