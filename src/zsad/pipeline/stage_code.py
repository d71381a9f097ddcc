"""The stage `code`: what each stage's code is, as one small file a stage, or a stage and a configuration or dataset.

DVC compares files, and would run everything again for a comment in a file that everything reads. So this stage depends
on the whole source tree and writes digests (zsad.common.code_digest) to data/code; the others depend on theirs there:

    data/code/<stage>.json                      weights, backbones, combine, score, aggregate, register
    data/code/<stage>/<dataset>.json            fetch, index
    data/code/<stage>/<configuration>.json      train, adapt, predict: with the method, which DVC cannot look up

Beside the digest of a stage that covers many keys stands what of params.yaml it reads of them (`grid`), so that a
setting of one learner runs its own cells, and not every stage that knows of the learner.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zsad.common.code_digest import SOURCE, made_of
from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, file_sha256, write_json
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.config.schema import DatasetParams
from zsad.evaluation.results import shown_row
from zsad.learners.lookup import methods

CODE = Path("data/code")
ENTRIES = {  # where each stage begins
    "weights": "zsad.clip.weights",
    "backbones": "zsad.pipeline.backbones",
    "fetch": "zsad.datasets.fetch",
    "index": "zsad.datasets.index",
    "train": "zsad.training.train",
    "adapt": "zsad.training.adapt",
    "predict": "zsad.inference.predict",
    "combine": "zsad.inference.combine",
    "score": "zsad.evaluation.score",
    "aggregate": "zsad.evaluation.aggregate",
    "register": "zsad.tracking.register",
}
APART = (  # decides no result:
    "zsad.config.params",  # the values of params.yaml are dependencies themselves
    "zsad.config.schema",
    "zsad.config.validation",
    "zsad.datasets.archives",  # an archive is judged by its hash, however it came here
    "zsad.datasets.licences",
    "zsad.datasets.transport",
)
DEMO = "zsad_synthetic.demo"
EMBEDDED = SOURCE / "zsad/clip/embedded"
CATALOGUE = SOURCE / "zsad/datasets/entries"
FIGURES = SOURCE / "zsad/evaluation/published/figures.yaml"
SERVED = "zsad.tracking.serving"
INDEX = ENTRIES["index"]  # `score` reads what indexing says of labels, which predictions do not carry


def write_code(params: Params, out: Path = CODE) -> None:
    """Write all digests into `out`, which they replace."""
    with atomic_directory(out) as directory:
        for name, content in _digests(params):
            write_json(directory / f"{name}.json", content)


def _digests(params: Params) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name of the file, its content) of every digest that params.yaml asks for."""
    configurations = {key: params.configuration(key) for key in params.configurations}
    data = [EMBEDDED / "weights.safetensors", EMBEDDED / "open_clip_config.json"]
    yield "weights", _digest("weights", data=data)
    yield "backbones", _digest("backbones", grid={key: one.backbone_key for key, one in configurations.items()})
    yield "combine", _digest("combine", grid=list(params.datasets))
    yield "score", _digest("score", INDEX, grid=params.metrics.model_dump())
    official = any(block.kind == "official" for block in params.datasets.values())
    yield "aggregate", _digest("aggregate", data=[FIGURES] if official else [], grid=_tables(params))
    models = {key: _models(params, one) for key, one in configurations.items()}
    yield "register", _digest("register", SERVED, grid=[list(params.sources), models])
    for key, block in params.datasets.items():
        yield f"fetch/{key}", _digest("fetch", *([DEMO] if block.kind == "demo" else []), data=_entry(key, block))
        yield f"index/{key}", _digest("index", data=_entry(key, block))
    for key, one in configurations.items():
        method = _module(one)
        stage, grid = ("adapt", _targets(params, one)) if one.shots else ("train", {})
        yield f"{stage}/{key}", _digest(stage, method, grid=grid)
        yield f"predict/{key}", _digest("predict", method, grid=_run(params, one))


def _digest(stage: str, *named: str, data: Iterable[Path] = (), grid: Any = None) -> dict[str, Any]:
    """What a stage is made of: its modules and those `named`, package data, what it reads of the grid's keys."""
    files: Mapping[str, str] = {path.relative_to(SOURCE).as_posix(): file_sha256(path)[:16] for path in data}
    told = {"modules": made_of(ENTRIES[stage], *named, apart=APART), "data": files, "grid": grid}
    return {name: value for name, value in told.items() if value}


def _tables(params: Params) -> list[Any]:
    """Rows and columns of the tables in their order, and what is said about them."""
    rows = [[key, shown_row(params.row(key))] for key in params.rows]
    return [rows, [[key, block.kind] for key, block in params.datasets.items()]]


def _models(params: Params, one: Configuration) -> list[Any]:
    """Whether a configuration is registered, and with which source: of each dataset, in their order."""
    served = params.datasets if params.sources or one.shots else ()
    return [one.protocol, [[dataset, one.source_for(params, dataset)] for dataset in served]]


def _targets(params: Params, one: Configuration) -> Any:
    """What adapting reads of other keys: namings; a form, which adapts to all datasets at once, also whose weights."""
    if not one.of:
        return params.class_names
    return [{dataset: one.auxiliary(params, dataset) for dataset in params.datasets}, params.class_names]


def _run(params: Params, one: Configuration) -> dict[str, Any]:
    """What predictions follow beside checkpoints, which hold a configuration's settings and precision."""
    sources = {} if one.shots else {"sources": sorted(params.sources)}
    namings = {"class_names": params.class_names} if params.class_names else {}
    return {"deterministic": params.deterministic, **sources, **namings}


def _module(configuration: Configuration) -> str:
    """Module of the method, which must exist."""
    if configuration.method not in methods():
        known = ", ".join(methods())
        raise UserError(
            f"params.yaml: {configuration.where}: method {configuration.method!r} does not exist; there are: {known}"
        )
    return f"zsad.learners.{configuration.method}"


def _entry(key: str, block: DatasetParams) -> list[Path]:
    """The catalogue's entry of a published set that was unpacked by hand; where `path` is the entry, DVC watches it."""
    path = CATALOGUE / f"{block.id or key}.yaml"
    return [path] if block.kind == "official" and path.is_file() else []
