"""What each cell of the grid costs, counted: operations, pictures to decode, memory, and bytes on disk.

Left out: scoring under other class names, and Adam's own arithmetic.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Literal

from zsad.config.params import Params
from zsad.pipeline.cost.sizes import Size, size_of
from zsad.pipeline.cost.subject import Subject
from zsad.pipeline.cost.tracing import Traced

ADAM = 2  # moments of a trained parameter; its gradient is counted with the step
SCORE_BYTES, CODE_BYTES = 8, 2  # of a stored prediction: zsad.inference.stored
Stage = Literal["train", "adapt", "predict"]


@dataclass(frozen=True)
class Cell:
    """Work of one cell. pictures: decoded; memory: bytes at the peak, Python and its libraries apart; scratch: bytes
    on disk while it runs; kept: bytes of its checkpoints or predictions.
    """

    stage: Stage
    learner: str
    on: str
    pictures: int
    flop: int
    calls: int
    memory: int
    scratch: int
    kept: int


class Grid:
    """The cells of params.yaml."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self._subject = cache(self._new_subject)
        self._size = cache(lambda key: size_of(params, key))

    def cells(self, keys: Sequence[str] = ()) -> Iterator[Cell]:
        """Of these configurations, or of all: in the order of the pipeline, a configuration after the other."""
        for key in keys or self.params.configurations:
            if key in self.params.adapted:
                yield from (self._adapted(key, on) for on in self._targets(key))
            elif self._subject(key, "").learner.trained:
                yield from (self._trained(key, on) for on in self._sources(key))
            yield from (self._predicted(key, on) for on in self._targets(key))

    def _new_subject(self, key: str, source: str) -> Subject:
        """The configuration on a source; "" where it has none."""
        one = self.params.configuration(key)
        return Subject(one, one.on(source).settings if source else one.settings, self.params.batch_size)

    def _sources(self, key: str) -> list[str]:
        """Where it is trained."""
        one = self.params.configuration(key)
        here = {source: one.on(source) for source in self.params.sources}
        return [source for source, found in here.items() if not (found.unused or found.imported)]

    def _targets(self, key: str) -> list[str]:
        """Where it is evaluated: not on what it was trained on."""
        one = self.params.configuration(key)
        trained = self._subject(key, "").learner.trained and not (one.shots and not one.of)
        return [on for on in self.params.datasets if not trained or one.auxiliary(self.params, on) != on]

    def _seeds(self, key: str) -> int:
        one = self.params.configuration(key)
        alone = (one.is_imported or not self._subject(key, "").learner.trained) and not one.shots
        return 1 if alone else len(self.params.seeds)

    def _trained(self, key: str, source: str) -> Cell:
        subject, size, seeds = self._subject(key, source), self._size(source), self._seeds(key)
        learner, steps = subject.learner, subject.steps
        largest = max(batch for _, batch, _ in steps)
        entries = size.trainable * max(1, learner.views) + learner.references * size.categories
        work = [(subject.encoding_to_train, ceil(entries / subject.batch))]
        work += [(step, seeds * epochs * ceil(size.trainable / batch)) for epochs, batch, step in steps]
        return self._cell(
            "train", key, source, entries, work,
            memory=subject.weights + (1 + ADAM) * subject.trained + largest * subject.stored,
            scratch=entries * subject.stored,
            kept=seeds * subject.model,
        )  # fmt: skip

    def _adapted(self, key: str, dataset: str) -> Cell:
        subject, size = self._subject(key, self._source(key, dataset)), self._size(dataset)
        models, learner = len(self.params.seeds) * size.categories, subject.learner
        first, other = subject.adaptation
        further = learner.config.epochs - 1 if learner.trained and not learner.few_shot_form else 0
        return self._cell(
            "adapt", key, dataset, models * subject.configuration.shots,
            [(first, models), (other, models * max(0, further))],
            memory=subject.weights + 2 * subject.trained + size.categories * subject.model,
            scratch=models * subject.model,
            kept=models * subject.model,
        )  # fmt: skip

    def _predicted(self, key: str, dataset: str) -> Cell:
        subject, size, seeds = self._subject(key, self._source(key, dataset)), self._size(dataset), self._seeds(key)
        (height, width), batches = subject.learner.map_grid, ceil(size.test / subject.batch)
        first, other = subject.scoring
        loaded = seeds * subject.model * (size.categories if subject.configuration.shots else 1)
        return self._cell(
            "predict", key, dataset, size.test,
            [(subject.encoding, batches), (other, seeds * batches), *self._texts(first, other, seeds, size)],
            memory=subject.weights + loaded,
            scratch=0,
            kept=seeds * size.test * (SCORE_BYTES + CODE_BYTES * height * width),
        )  # fmt: skip

    def _source(self, key: str, dataset: str) -> str:
        return self.params.configuration(key).auxiliary(self.params, dataset) or "" if self.params.sources else ""

    @staticmethod
    def _texts(first: Traced, other: Traced, seeds: int, size: Size) -> list[tuple[Traced, int]]:
        """What the first picture of each name costs beyond any other."""
        count = seeds * len(size.names)
        return [(first, count), (other, -count)]

    @staticmethod
    def _cell(
        stage: Stage, key: str, on: str, pictures: int, work: Sequence[tuple[Traced, int]], memory: int, **bytes_: int
    ) -> Cell:
        flop, calls = (sum(getattr(one, name) * times for one, times in work) for name in ("flop", "calls"))
        peak = max(one.peak for one, times in work if times > 0)
        return Cell(stage, key, on, pictures, flop, calls, memory + peak, **bytes_)
