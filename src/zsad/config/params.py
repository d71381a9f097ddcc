"""params.yaml as one typed value. Unknown keys and bad values are refused with the path of the key."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field

from zsad.common.errors import UserError
from zsad.config.configuration import Configuration
from zsad.config.ensemble import Ensemble, Row, check_ensembles
from zsad.config.schema import (
    DEMO,
    BackboneParams,
    Block,
    DatasetParams,
    EnsembleParams,
    FewShotFormParams,
    FewShotParams,
    GateParams,
    Identifier,
    LearnerParams,
    MetricsParams,
    Naming,
    SourceParams,
    each_once,
)
from zsad.config.validation import lookup, names, validate

PARAMS_FILE = Path("params.yaml")
REQUIRED = {  # dvc.yaml runs over their keys
    "few_shot": "few-shot configurations",
    "few_shot_of": "few-shot forms of trained learners",
    "ensembles": "ensembles",
}


class Params(Block):
    """The whole of params.yaml."""

    seeds: Annotated[list[int], Field(min_length=1), AfterValidator(each_once)]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    deterministic: bool = True
    threads: int = Field(default=1, ge=1)
    batch_size: int = Field(default=8, ge=1)
    feature_store: float = Field(default=0, ge=0, allow_inf_nan=False)
    backbones: dict[Identifier, BackboneParams]
    sources: dict[Identifier, SourceParams]
    datasets: dict[Identifier, DatasetParams]
    learners: dict[Identifier, LearnerParams]
    few_shot: dict[Identifier, FewShotParams] = Field(default_factory=dict)
    few_shot_of: dict[Identifier, FewShotFormParams] = Field(default_factory=dict)
    ensembles: dict[Identifier, EnsembleParams] = Field(default_factory=dict)
    class_names: dict[Identifier, Naming] = Field(default_factory=dict)
    metrics: MetricsParams = MetricsParams()
    gate: GateParams

    @property
    def configurations(self) -> tuple[str, ...]:
        """Keys of all configurations: each is a model, and a row of the leaderboard."""
        return (*self.learners, *self.adapted)

    @property
    def adapted(self) -> tuple[str, ...]:
        """Keys of the few-shot configurations, which have a model for each dataset."""
        return (*self.few_shot, *self.few_shot_of)

    @property
    def rows(self) -> tuple[str, ...]:
        """Keys of all rows of the leaderboard: configurations, and ensembles of them, which have no model."""
        return (*self.configurations, *self.ensembles)

    def dataset(self, key: str) -> DatasetParams:
        """The entry `datasets.<key>`."""
        return lookup(self.datasets, key, "datasets")

    def backbone(self, key: str) -> BackboneParams:
        """The entry `backbones.<key>`."""
        return lookup(self.backbones, key, "backbones")

    def configuration(self, key: str) -> Configuration:
        """The block `learners.<key>`, `few_shot.<key>` or `few_shot_of.<key>`, its method and backbone resolved."""
        if key in self.ensembles:
            raise UserError(
                f"params.yaml: ensembles.{key}: has no model of its own, it is a mean of predictions; name one of"
                f" its members: {names(self.ensembles[key].of)}"
            )
        if key in self.few_shot:
            return self._resolved(key, self.few_shot[key], shots=self.few_shot[key].shots)
        if key in self.few_shot_of:
            form = self.few_shot_of[key]
            return replace(self.configuration(form.of), key=key, shots=form.shots, of=form.of)
        block = lookup(self.learners, key, "learners", others=[*self.adapted, *self.ensembles])
        if block.imported is not None and block.source is None:
            raise UserError(
                f"params.yaml: learners.{key}.source: required beside `imported`: name the dataset that these weights"
                " were trained on, so that they are not evaluated there; with one file for each, write"
                " per_source: {DATASET: {imported: FILE}}"
            )
        return self._resolved(
            key,
            block,
            source=block.source,
            per_source={name: dict(own.model_extra or {}) for name, own in block.per_source.items()},
            imported=block.imported,
            imported_per_source={name: own.imported for name, own in block.per_source.items() if own.imported},
        )

    def row(self, key: str) -> Row:
        """What stands behind a row of the leaderboard: the configuration, or the ensemble `ensembles.<key>`."""
        if key not in self.ensembles:
            return self.configuration(key)
        block = self.ensembles[key]
        weights = tuple(block.weights or [1.0] * len(block.of))
        return Ensemble(key, tuple(self.configuration(member) for member in block.of), weights)

    def _resolved(self, key: str, block: LearnerParams | FewShotParams, **own: Any) -> Configuration:
        return Configuration(
            key=key,
            method=block.method or key,
            protocol=block.protocol,
            backbone_key=block.backbone,
            backbone=self.backbone(block.backbone),
            settings=dict(block.model_extra or {}),
            **own,
        )


def load_params(path: Path = PARAMS_FILE, shown_as: Path | None = None) -> Params:
    """Read and check params.yaml; every message names the file (`shown_as`), the key's path and the remedy."""
    shown = str(shown_as or path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{shown}: not found; run zsad in the repository's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{shown}: not valid YAML: {error}") from error
    except OSError as error:
        raise UserError(f"{shown}: cannot be read ({error.strerror})") from error
    for name, what in REQUIRED.items():
        if isinstance(raw, dict) and raw.get(name) is None:
            raise UserError(f"{shown}: {name}: required; write `{name}: {{}}` for no {what}")
    params = validate(Params, raw, shown)
    for key in params.sources:
        lookup(params.datasets, key, "datasets")
    for key, block in params.datasets.items():
        if block.kind == "demo" and block.path != DEMO:
            raise UserError(f"{shown}: datasets.{key}.path: demo sets are defined in {DEMO}, not {block.path}")
    _check_names(params, shown)
    _check_forms(params, shown)
    check_ensembles(params, shown)
    for key in params.learners if params.sources else ():
        for dataset in params.datasets:
            params.configuration(key).source_for(params, dataset)
    return params


def _check_names(params: Params, shown: str) -> None:
    """Results go by key, and registered models by key or, adapted to a dataset, by `<key>__<dataset>`."""
    first: dict[str, str] = {}
    for name in ("learners", "few_shot", "few_shot_of", "ensembles"):
        for key in getattr(params, name):
            if key in first:
                raise UserError(f"{shown}: {name}.{key}: stands under `{first[key]}` as well; rename one of them")
            first[key] = name
    adapted = {f"{key}__{data}": f"{first[key]}.{key}" for key in params.adapted for data in params.datasets}
    for key in adapted.keys() & set(params.configurations):
        raise UserError(f"{shown}: {key}: a model of {adapted[key]} is registered by that name; rename one of them")


def _check_forms(params: Params, shown: str) -> None:
    """A few-shot form is one of a learner: whether its method has one is known to the method (learners/lookup.py)."""
    for key, form in params.few_shot_of.items():
        if form.of not in params.learners:
            raise UserError(
                f"{shown}: few_shot_of.{key}.of: {form.of!r} is not under `learners`; there are:"
                f" {names(params.learners)}"
            )
