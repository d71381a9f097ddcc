"""A configuration: a block of `learners`, `few_shot` or `few_shot_of` with method, backbone and source resolved."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zsad.common.errors import UserError
from zsad.common.io import content_hash
from zsad.config.schema import BackboneParams, Protocol
from zsad.config.validation import names

if TYPE_CHECKING:
    from zsad.config.params import Params


@dataclass(frozen=True)
class Configuration:
    """A resolved `learners.<key>`, `few_shot.<key>` or `few_shot_of.<key>` block: what a row of the leaderboard is."""

    key: str
    method: str
    protocol: Protocol
    backbone_key: str
    backbone: BackboneParams
    settings: dict[str, Any]
    source: str | None = None
    per_source: dict[str, dict[str, Any]] = field(default_factory=dict)
    shots: int = 0  # 0: a zero-shot learner, trained on an auxiliary source or not at all
    imported: str | None = None
    imported_per_source: dict[str, str] = field(default_factory=dict)
    of: str | None = None  # of a few-shot form: key of the trained learner whose weights it has

    @property
    def where(self) -> str:
        """Its block in params.yaml, for messages."""
        block = "few_shot_of" if self.of else "few_shot" if self.shots else "learners"
        return f"{block}.{self.key}"

    @property
    def is_imported(self) -> bool:
        """Whether official weights stand in for training, on one source at least."""
        return bool(self.imported or self.imported_per_source)

    def on(self, source: str) -> "OnSource":
        """What holds where the auxiliary source is `source`: constants may follow the source, never the target."""
        settings = {**self.settings, **self.per_source.get(source, {})}
        if self.source not in (None, source):
            return OnSource(settings, unused=f"{self.key} names {self.source} as its source")
        imported = self.imported_per_source.get(source, self.imported)
        if imported is None and self.imported_per_source:
            raise UserError(
                f"params.yaml: learners.{self.key}: imports checkpoints, but none for {source}; name one under"
                f" per_source.{source}.imported, or the one source it has with `source`"
            )
        return OnSource(settings, imported=imported)

    def source_for(self, params: "Params", dataset: str) -> str:
        """The set whose checkpoint serves `dataset`: for a zero-shot learner the auxiliary set it was trained on.

        A few-shot configuration has none: the checkpoint that serves a dataset was adapted to that dataset.
        """
        return dataset if self.shots else self._trained_on(params, dataset)

    def auxiliary(self, params: "Params", dataset: str) -> str | None:
        """The auxiliary set behind what serves `dataset`; None where a few-shot method has none."""
        return None if self.shots and not self.of else self._trained_on(params, dataset)

    def _trained_on(self, params: "Params", dataset: str) -> str:
        """The configuration's own source, else the dataset's rule."""
        rule = self.source or params.dataset(dataset).source
        if rule is None and len(params.sources) == 1:
            rule = next(iter(params.sources))
        if rule is None:
            raise UserError(f"params.yaml: datasets.{dataset}.source: name one of {names(params.sources)}")
        if rule not in params.sources:
            where = f"learners.{self.of or self.key}.source" if self.source else f"datasets.{dataset}.source"
            raise UserError(f"params.yaml: {where}: {rule!r} is not under `sources` ({names(params.sources)})")
        return rule

    def hash(self, params: "Params") -> str:
        """Hash of everything in params.yaml that decides this configuration's predictions."""
        described = {**self.__dict__, "backbone": self.backbone.model_dump()}
        for name in ("imported", "imported_per_source", "of"):  # without them, the hash is that of older results
            if not described[name]:
                del described[name]
        return content_hash(
            {
                "configuration": described,
                "seeds": params.seeds,
                "precision": params.precision,
            }
        )


@dataclass(frozen=True)
class OnSource:
    """A configuration on one auxiliary source. settings: the method's, as given for it.

    imported: file of `zsad import` that stands in for training, or None; unused: why nothing is trained there, or None.
    Datasets have no say in that: one that is added later must not make anything train again.
    """

    settings: dict[str, Any]
    imported: str | None = None
    unused: str | None = None
