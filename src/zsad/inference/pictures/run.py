"""Pictures, one model → a table, heatmaps and overlays: what `zsad predict MODEL PATH…` does.

Threads decode and write, this one asks the model. What is held at once is bounded, however many pictures there are.
"""

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsad import __version__
from zsad.common.interrupts import Interrupts
from zsad.common.io import content_hash
from zsad.common.progress import log
from zsad.datasets.transport.access import access_named
from zsad.inference.pictures import table
from zsad.inference.pictures.decoding import MOST_PIXELS, Decoded, decode_ahead, fitting, in_batches, stamp_of
from zsad.inference.pictures.ledger import Ledger, Row, is_done, open_ledger
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.outputs import output_paths, remove_outputs, save_outputs
from zsad.inference.pictures.pace import Pace
from zsad.inference.pictures.regions import find_regions
from zsad.inference.pictures.sources import STDIN, Source, clash, listed_sources, named_sources
from zsad.inference.pictures.summary import Summary
from zsad.inference.pictures.watching import new_pictures
from zsad.inference.render import Scale, scale_above, scale_of

if TYPE_CHECKING:
    from zsad.inference.model import Predictor, Result

REFERENCE = 64  # pictures, the first of a folder, whose maps settle the colours of a model without a threshold


@access_named()
def predict_pictures(
    predictor: "Predictor",
    paths: Sequence[str],
    out: Path,
    options: Options | None = None,
    told: Mapping[str, Any] | None = None,
) -> Summary:
    """Score what is named by `paths` into `out`; a picture that cannot be read gets a row, and the rest goes on.

    told: what else the model was told; results of another model, or told otherwise, are not mixed with these.
    """
    options = options or Options()
    options.check(paths)
    predictor.category(options.category)
    given = None if options.watch else _given(paths, out)
    asked = settings_of(predictor, options, told)
    with open_ledger(out, asked, options.anew, lambda row: remove_outputs(out, row["place"])) as ledger:
        run = _Run(predictor, out, options, ledger)
        if given is not None:
            run.score(given)
        else:
            _watch(run, paths)
        return run.finish()


def settings_of(predictor: "Predictor", options: Options, told: Mapping[str, Any] | None) -> dict[str, Any]:
    """What decides results: those of a folder agree in it."""
    calibration = predictor.calibration
    return {
        "model": predictor.checkpoint_sha256,
        "calibration": content_hash(calibration.as_dict()) if calibration else None,
        "version": __version__,
        "precision": predictor.precision,
        **(told or {}),
        **options.settings,
    }


def _given(paths: Sequence[str], out: Path) -> Iterable[Source]:
    if list(paths) == [STDIN]:
        return listed_sources(map(os.fsdecode, sys.stdin.buffer), out)
    return named_sources(paths, out)


def _watch(run: "_Run", paths: Sequence[str]) -> None:
    interrupts = Interrupts()
    with interrupts.deferred(), contextlib.suppress(KeyboardInterrupt):
        run.finish()  # a table to which rows are added
        log(f"watching {', '.join(paths)}; Ctrl-C ends it")
        for fresh in new_pictures(paths, run.out):
            interrupts.heed()
            run.score(fresh, interrupts.heed)


class _Run:
    """One model, one output folder."""

    def __init__(self, predictor: "Predictor", out: Path, options: Options, ledger: Ledger) -> None:
        self.out = out
        self._predictor = predictor
        self._options = options
        self._ledger = ledger
        self._threshold = options.pixel_threshold
        if self._threshold is None and predictor.calibration:
            self._threshold = predictor.calibration.pixel_threshold
        self._scale = self._known_scale()
        self._table = table.table_path(out, options.form)
        self._summary = Summary(self._table)
        self._pace = Pace()
        self._in_work: set[str] = set()

    def score(self, sources: Iterable[Source], heed: Callable[[], None] = lambda: None) -> None:
        """Score what is not done yet, and append its rows. heed: called after each; may end it."""
        fresh: Iterable[Source] = self._fresh(sources)
        if isinstance(sources, list):
            fresh = list(fresh)
            self._pace.expect(len(fresh))
        size, workers = self._options.batch_size, self._options.workers
        with ThreadPoolExecutor(workers) as pool:
            batches = in_batches(decode_ahead(fresh, pool, size + workers, self._options.bits), size)
            for row in self._pace.along(self._rows(self._scaled(self._scored(batches)), pool)):
                self._keep(row)
                heed()

    def finish(self) -> Summary:
        """Write the whole table."""
        labels: dict[Any, int] = {}
        table.write_table(self._table, self._counted(labels))
        self._summary.rows = sum(labels.values())
        self._summary.anomalous = labels.get(1, 0) if labels.keys() & {0, 1} else None
        self._summary.pace = str(self._pace)
        return self._summary

    def _counted(self, labels: dict[Any, int]) -> Iterator[Row]:
        for row in self._ledger.rows():
            labels[row["label"]] = labels.get(row["label"], 0) + 1
            yield row

    def _known_scale(self) -> Scale | None:
        if self._options.scale:
            return Scale(self._options.scale[0], self._options.scale[1])
        if self._threshold is not None:
            return scale_above(self._threshold)
        return Scale(*held) if (held := self._ledger.scale) else None

    def _fresh(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Those that are neither done nor in work."""
        for source in sources:
            place = source.place.as_posix()
            row = self._ledger.row_of(place)
            if row and row["file"] != os.path.abspath(source.file):  # noqa: PTH100 (links stay)
                raise clash(source, row["file"], self.out)
            if row and self._is_done(source, row):
                self._summary.kept += 1
            elif place not in self._in_work:
                self._in_work.add(place)
                yield source

    def _is_done(self, source: Source, row: Row) -> bool:
        try:
            stamp = stamp_of(source.file.stat())
        except OSError:
            return False
        return is_done(row, stamp) and all(path.is_file() for path in output_paths(self.out, row["place"]))

    def _scored(self, batches: Iterable[list[Decoded]]) -> Iterator[tuple[Decoded, "Result | None"]]:
        """Each picture with its result; None for one that could not be read."""
        asked = {"prompt_name": self._options.prompt_name, "category": self._options.category}
        for batch in batches:
            pictures = [one.picture for one in batch if one.picture]
            results = self._predictor.predict_batch(pictures, self._options.batch_size, **asked)
            for one in batch:
                yield one, next(results) if one.picture else None

    def _scaled(self, scored: Iterable[tuple[Decoded, "Result | None"]]) -> Iterator[tuple[Decoded, "Result | None"]]:
        """The same; the first ones are held until their maps settle what colours span."""
        held: list[tuple[Decoded, Result | None]] = []
        for one in scored:
            held.append(one)
            if self._scale or len(held) >= REFERENCE or sum(each.pixels for each, _ in held) >= MOST_PIXELS:
                yield from self._settled(held)
                held = []
        yield from self._settled(held)

    def _settled(self, held: list[tuple[Decoded, "Result | None"]]) -> list[tuple[Decoded, "Result | None"]]:
        maps = [result.map for _, result in held if result]
        if self._scale is None and maps:
            self._scale = scale_of(maps)
            self._ledger.settle_scale(self._scale.low, self._scale.high)
        return held

    def _rows(self, scored: Iterable[tuple[Decoded, "Result | None"]], pool: ThreadPoolExecutor) -> Iterator[Row]:
        """A row of each picture, in order, when its files are written."""
        pending: deque[Future[Row]] = deque()
        for one, result in scored:
            pending.append(pool.submit(self._row, one, result))
            while len(pending) > fitting(2 * self._options.workers, one.pixels):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _row(self, one: Decoded, result: "Result | None") -> Row:
        source, place = one.source, one.source.place.as_posix()
        size, mtime = one.stamp or (None, None)
        row: Row = dict.fromkeys(table.COLUMNS)
        row |= {"path": str(source.file), "place": place, "file": os.path.abspath(source.file)}  # noqa: PTH100
        row |= {"size": size, "mtime": mtime, "error": one.error}
        if one.picture is None or result is None or self._scale is None:
            remove_outputs(self.out, place)
            return row
        regions = [] if self._threshold is None else find_regions(result.map, self._threshold)
        save_outputs(self.out, place, one.picture, result.map, self._scale, regions)
        told = None if self._threshold is None else [region.as_dict() for region in regions]
        row |= {"score": result.score, "label": result.label, "threshold": result.threshold}
        return row | {"percentile": result.percentile, "regions": told}

    def _keep(self, row: Row) -> None:
        self._ledger.add(row)
        self._in_work.discard(row["place"])
        if self._options.watch:
            table.append_row(self._table, row)
        if row["error"]:
            self._summary.add_failure(row["error"])
