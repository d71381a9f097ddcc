"""The blocks of params.yaml: which keys there are, of which type. Values are typed, keys are closed."""

import re
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

REMOTE = "src/zsad/datasets/transport/remote.py"  # `path` of a dataset that has a `url`
DEMO = "src/zsad/datasets/demo.yaml"  # `path` of a demo set

Protocol = Literal["strict", "paper"]
V = TypeVar("V")
B = TypeVar("B", bound=BaseModel)


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise ValueError("use lower-case letters, digits and `_` only, a letter first (DVC joins names with `-`)")
    return value


def each_once(values: list[V]) -> list[V]:
    """The values; ValueError where one stands there twice."""
    if len(set(values)) < len(values):
        raise ValueError("each may stand there once")
    return values


def _is_no_ensemble(block: B) -> B:
    if getattr(block, "method", None) == "ensemble":
        raise ValueError("an ensemble stands under `ensembles`: write `ensembles: {KEY: {of: [KEY, KEY]}}`")
    return block


Identifier = Annotated[str, AfterValidator(_identifier)]
Metric = Literal[
    "image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_aupro"
]  # fmt: skip


def _naming(value: Any) -> Any:
    words = value.items() if isinstance(value, dict) else []
    if value in ("object", "other") or (
        words and all(isinstance(text, str) and text for pair in words for text in pair)
    ):
        return value
    raise ValueError("write `object`, `other`, or a table with a word for each class name, {cork: Kork, gear: Zahnrad}")


Naming = Annotated[str | dict[str, str], PlainValidator(_naming)]  # zsad.datasets.class_names


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

    kind `demo`: one of those that zsad_synthetic draws; its file is src/zsad/datasets/demo.yaml.

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

    _no_ensemble = model_validator(mode="after")(_is_no_ensemble)


class FewShotParams(BaseModel):
    """A configuration that is adapted to each target from `shots` of its normal pictures, category by category.

    Every other key is a setting of the method, checked by it.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    method: Identifier | None = None
    protocol: Protocol = "strict"
    backbone: Identifier = "default"
    shots: int = Field(ge=1)

    _no_ensemble = model_validator(mode="after")(_is_no_ensemble)


class FewShotFormParams(Block):
    """The few-shot form of a trained learner: its weights, and `shots` normal pictures of each target; `of`: its key.

    Everything else follows from the learner.
    """

    of: Identifier
    shots: int = Field(ge=1)


class EnsembleParams(Block):
    """A mean of the predictions of several configurations; `of`: their keys, `weights`: one for each, default equal."""

    of: Annotated[list[Identifier], Field(min_length=2), AfterValidator(each_once)]
    weights: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = None

    @model_validator(mode="after")
    def _has_a_weight_for_each(self) -> "EnsembleParams":
        if self.weights is not None and len(self.weights) != len(self.of):
            raise ValueError(f"`weights` has {len(self.weights)} numbers for {len(self.of)} members; give one for each")
        return self


class MetricsParams(Block):
    """How pixel metrics are computed; printed with every table."""

    resolution: int | None = Field(default=None, ge=8)
    aupro_fpr_limit: float = Field(default=0.3, gt=0, le=1)


class GateParams(Block):
    """Largest drop that passes, per metric: of a single cell and of a configuration's mean over datasets."""

    cell: dict[Metric, float]
    mean: dict[Metric, float]
