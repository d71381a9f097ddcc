"""What a few-shot form begins with: the weights of the trained learner that it is a form of, on its source."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import read_json, read_tensors
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.datasets.leaks import PICTURES
from zsad.datasets.manifest import Row, load_manifest
from zsad.learners.base import Learner
from zsad.training.record import Record, read_record


@dataclass(frozen=True)
class SourceWeights:
    """Checkpoints of the learner, a file a seed; official weights, which were imported, are one for all seeds."""

    record: Record

    @property
    def seen(self) -> Sequence[Row]:
        """The pictures that it was trained on. Those of the support are never tested (normal_pictures.py)."""
        seen = read_json(self.record.directory / PICTURES)["pictures"]
        return [row for row in load_manifest(self.record.source).rows if row.path in seen]

    @property
    def told(self) -> dict[str, Any]:
        """What the record of an adapted cell says of them."""
        return {"auxiliary": self.record.source, "imported": self.record.imported}

    def put_into(self, learner: Learner, seed: int) -> None:
        """Give a few-shot form the weights of this seed; what it remembers is not among them."""
        own = self.record.seeds[0] if len(self.record.seeds) == 1 else seed
        path = self.record.directory / f"seed_{own}.safetensors"
        if own not in self.record.seeds:
            raise UserError(f"{path}: not found; run `zsad train {self.record.learner} {self.record.source}`")
        learner.restore({**learner.checkpoint(), **read_tensors(path)[0]}, path)


def source_weights(params: Params, configuration: Configuration, dataset: str) -> SourceWeights:
    """Those that serve `dataset`, as `zsad train` left them."""
    of, source = configuration.of, configuration.auxiliary(params, dataset)
    assert of
    assert source  # of a few-shot form
    return SourceWeights(read_record(of, source))
