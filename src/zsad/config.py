"""Typed view of params.yaml. Unknown keys and bad values are refused with the path of the key."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from zsad.errors import UserError
from zsad.io import content_hash

PARAMS_FILE = Path("params.yaml")
REMOTE = "src/zsad/datasets/transport/remote.py"  # `path` of a dataset that has a `url`

Protocol = Literal["strict", "paper"]
B = TypeVar("B", bound=BaseModel)
V = TypeVar("V")


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise ValueError("use lower-case letters, digits and `_` only, a letter first (DVC joins names with `-`)")
    return value


def _unique(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("each seed may stand there once")
    return values


Identifier = Annotated[str, AfterValidator(_identifier)]
Metric = Literal[
    "image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_aupro"
]  # fmt: skip


class Block(BaseModel):
    """A block of params.yaml: keys are closed, types are strict (`1e-3` is text to YAML: write 0.001)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BackboneParams(Block):
    """Which CLIP, at which square image side in pixels (a multiple of its patch size)."""

    name: str
    pretrained: str
    image_size: int = Field(ge=16)


class SourceParams(Block):
    """An auxiliary dataset that learners train on; the key names an entry of `datasets`."""


class DatasetParams(Block):
    """One dataset. `path` is what fetching reads: a folder in MVTec layout, or the file that defines the set.

    kind `official`: a published set. `path` is its entry in the catalogue (src/zsad/datasets/entries/<id>.yaml), whose
    archives are fetched; or the folder that they were unpacked to, and `id` (default: the key) names the entry.
    Layout, prompt names and expected counts are the entry's.
    kind `folder`: `path` may also be an archive of such a folder. `url`: address of an archive or a folder; `path` is
    then the code that brings it, because DVC watches files that are here.
    """

    kind: Literal["demo", "folder", "official"] = "folder"
    path: str
    id: Identifier | None = None
    url: str | None = None
    source: Identifier | None = None
    domain: str | None = None
    classes: dict[str, str] = {}

    @model_validator(mode="after")
    def _has_no_unused_id(self) -> "DatasetParams":
        if self.id and self.kind != "official":
            raise ValueError(f"`id` names a published set, so it needs `kind: official`, not {self.kind}")
        return self

    @model_validator(mode="after")
    def _has_its_address_under_url(self) -> "DatasetParams":
        if "://" in self.path:
            raise ValueError(f"an address needs a key of its own: write `url: {self.path}, path: {REMOTE}`")
        if self.url is None:
            return self
        if self.kind != "folder" or self.path != REMOTE:
            raise ValueError(f"`url` needs `kind: folder` and `path: {REMOTE}` beside it")
        if not urlsplit(self.url).scheme or "://" not in self.url:  # ValueError for a malformed one
            raise ValueError(f"url: {self.url!r} is not an address such as https://… or s3://…")
        return self


class SourceSettings(BaseModel):
    """What differs for one auxiliary source: `imported`, a checkpoint trained on it, and settings of the method."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    imported: str | None = None


class LearnerParams(BaseModel):
    """One configuration: the reserved keys below; every other key is a setting of the method, checked by it.

    `imported`: file of `zsad import` whose tensors are used instead of training. Only whoever imports knows what they
    were trained on and must say so, by `source: KEY` or a place under `per_source.KEY`: that dataset is no target.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    method: Identifier | None = None
    protocol: Protocol = "strict"
    source: Identifier | None = None
    backbone: Identifier = "default"
    imported: str | None = None
    per_source: dict[Identifier, SourceSettings] = {}


class FewShotParams(BaseModel):
    """A configuration that is adapted to each target from `shots` of its normal pictures, category by category.

    Every other key is a setting of the method, checked by it.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    method: Identifier | None = None
    protocol: Protocol = "strict"
    backbone: Identifier = "default"
    shots: int = Field(ge=1)


class MetricsParams(Block):
    """How pixel metrics are computed; printed with every table."""

    resolution: int | None = Field(default=None, ge=8)
    aupro_fpr_limit: float = Field(default=0.3, gt=0, le=1)


class GateParams(Block):
    """Largest drop that passes, per metric: of a single cell and of a configuration's mean over datasets."""

    cell: dict[Metric, float]
    mean: dict[Metric, float]


class Params(Block):
    """The whole of params.yaml."""

    seeds: Annotated[list[int], Field(min_length=1), AfterValidator(_unique)]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = True
    batch_size: int = Field(default=8, ge=1)
    backbones: dict[Identifier, BackboneParams]
    sources: dict[Identifier, SourceParams]
    datasets: dict[Identifier, DatasetParams]
    learners: dict[Identifier, LearnerParams]
    few_shot: dict[Identifier, FewShotParams] = {}
    metrics: MetricsParams = MetricsParams()
    gate: GateParams

    @property
    def configurations(self) -> tuple[str, ...]:
        """Keys of all configurations: rows of the leaderboard."""
        return (*self.learners, *self.few_shot)

    def dataset(self, key: str) -> DatasetParams:
        """The entry `datasets.<key>`."""
        return _lookup(self.datasets, key, "datasets")

    def backbone(self, key: str) -> BackboneParams:
        """The entry `backbones.<key>`."""
        return _lookup(self.backbones, key, "backbones")

    def configuration(self, key: str) -> "Configuration":
        """The configuration `learners.<key>` or `few_shot.<key>`, its method and backbone resolved."""
        if key in self.few_shot:
            return self._resolved(key, self.few_shot[key], shots=self.few_shot[key].shots)
        block = _lookup(self.learners, key, "learners", others=self.few_shot)
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

    def _resolved(self, key: str, block: LearnerParams | FewShotParams, **own: Any) -> "Configuration":
        return Configuration(
            key=key,
            method=block.method or key,
            protocol=block.protocol,
            backbone_key=block.backbone,
            backbone=self.backbone(block.backbone),
            settings=dict(block.model_extra or {}),
            **own,
        )


@dataclass(frozen=True)
class Configuration:
    """A resolved `learners.<key>` or `few_shot.<key>` block: what one row of the leaderboard stands for."""

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

    @property
    def where(self) -> str:
        """Its block in params.yaml, for messages."""
        return f"{'few_shot' if self.shots else 'learners'}.{self.key}"

    def settings_for(self, source: str) -> dict[str, Any]:
        """The method's settings when trained on `source`: constants may follow the source, never the target."""
        return {**self.settings, **self.per_source.get(source, {})}

    def imported_for(self, source: str) -> str | None:
        """File of `zsad import` that stands in for training on `source`, or None: it is trained here."""
        found = self.imported_per_source.get(source, self.imported)
        if found is None and self.imported_per_source:
            raise UserError(
                f"params.yaml: learners.{self.key}: imports checkpoints, but none for {source}; name one under"
                f" per_source.{source}.imported, or the one source it has with `source`"
            )
        return found

    def source_for(self, params: Params, dataset: str) -> str:
        """The auxiliary set whose checkpoint serves `dataset`: the configuration's own, else the dataset's rule.

        A few-shot configuration has none: the checkpoint that serves a dataset was adapted to that dataset.
        """
        if self.shots:
            return dataset
        rule = self.source or params.dataset(dataset).source
        if rule is None and len(params.sources) == 1:
            rule = next(iter(params.sources))
        if rule is None:
            raise UserError(f"params.yaml: datasets.{dataset}.source: name one of {_names(params.sources)}")
        if rule not in params.sources:
            where = f"learners.{self.key}.source" if self.source else f"datasets.{dataset}.source"
            raise UserError(f"params.yaml: {where}: {rule!r} is not under `sources` ({_names(params.sources)})")
        return rule

    def hash(self, params: Params) -> str:
        """Hash of everything in params.yaml that decides this configuration's predictions."""
        described = {**self.__dict__, "backbone": self.backbone.model_dump()}
        for name in ("imported", "imported_per_source"):  # without them, the hash is that of older results
            if not described[name]:
                del described[name]
        return content_hash(
            {
                "configuration": described,
                "seeds": params.seeds,
                "precision": params.precision,
            }
        )


def load_params(path: Path = PARAMS_FILE, shown_as: Path | None = None) -> Params:
    """Read and check params.yaml; every message names the file (`shown_as`), the key's path and the remedy."""
    shown = str(shown_as or path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{shown}: not found; run zsad in the repository's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{shown}: not valid YAML: {error}") from error
    if isinstance(raw, dict) and raw.get("few_shot") is None:  # dvc.yaml runs over its keys
        raise UserError(f"{shown}: few_shot: required; write `few_shot: {{}}` for no few-shot configurations")
    params = validate(Params, raw, shown)
    for key in params.sources:
        _lookup(params.datasets, key, "datasets")
    _check_names(params, shown)
    for key in params.learners if params.sources else ():
        for dataset in params.datasets:
            params.configuration(key).source_for(params, dataset)
    return params


def _check_names(params: Params, shown: str) -> None:
    """Results go by key, and registered models by key or, adapted to a dataset, by `<key>__<dataset>`."""
    adapted = {f"{key}__{dataset}": f"few_shot.{key}" for key in params.few_shot for dataset in params.datasets}
    for key in params.few_shot.keys() & params.learners.keys():
        raise UserError(f"{shown}: few_shot.{key}: stands under `learners` as well; rename one of them")
    for key in adapted.keys() & set(params.configurations):
        raise UserError(f"{shown}: {key}: a model of {adapted[key]} is registered by that name; rename one of them")


def validate(model: type[B], raw: Any, where: str, prefix: str = "") -> B:
    """`raw` as `model`, or a UserError that lists each bad key by its path below `prefix` in `where`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [f"{where}: {_explain(model, item, prefix)}" for item in error.errors()]
        raise UserError("\n".join(lines)) from None


def _explain(model: type[BaseModel], item: Any, prefix: str) -> str:
    path = ".".join(str(part) for part in item["loc"] if part != "[key]")
    path = f"{prefix}.{path}".strip(".")
    if item["type"] == "extra_forbidden":
        known = _fields_at(model, item["loc"][:-1])
        close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(known))}"
        return f"unknown parameter {path!r}; {hint}"
    if item["type"] == "missing":
        return f"{path}: required, but not given"
    hint = (
        " (a number in YAML needs the form 0.001)"
        if item["type"].startswith(("int", "float")) and isinstance(item["input"], str)
        else ""
    )
    return f"{path}: {item['msg']}, got {item['input']!r}{hint}"


def _fields_at(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Field names of the block that `location` points to: a dict's values are the last type argument."""
    for part in location:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field else model
        arguments = getattr(annotation, "__args__", ())
        model = arguments[-1] if arguments else annotation
    return list(getattr(model, "model_fields", {}))


def _lookup(mapping: dict[str, V], key: str, block: str, others: Iterable[str] = ()) -> V:
    """`mapping[key]`; the message names what is close to a key that does not exist, in `mapping` or among `others`."""
    if key not in mapping:
        known = [*mapping, *others]
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {_names(known)}"
        raise UserError(f"params.yaml: {block}.{key} does not exist; {hint}")
    return mapping[key]


def _names(keys: Iterable[str]) -> str:
    return ", ".join(keys) or "none"
