"""The stage `code`: what each stage's code is, as one small file a stage, or a stage and a configuration or dataset.

DVC compares files, and would run everything again for a comment in a file that everything reads. So this stage depends
on the whole source tree and writes digests (zsad.common.source) to data/code; the others depend on theirs there:

    data/code/<stage>.json                      weights, backbones, score, aggregate, register
    data/code/<stage>/<dataset>.json            fetch, index
    data/code/<stage>/<configuration>.json      train, adapt, predict: with the method, which DVC cannot look up
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zsad.common.errors import UserError
from zsad.common.io import atomic_directory, file_sha256, write_json
from zsad.common.source import SOURCE, made_of
from zsad.config.params import Params
from zsad.config.schema import DatasetParams
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
    "score": "zsad.evaluation.score",
    "aggregate": "zsad.evaluation.aggregate",
    "register": "zsad.tracking.registration",
}
APART = (  # decides no result:
    "zsad.config.params",  # the values of params.yaml are dependencies themselves
    "zsad.config.schema",
    "zsad.config.validation",
    "zsad.datasets.archives",  # an archive is judged by its hash, however it came here
    "zsad.datasets.licences",
    "zsad.datasets.transport",
)
DEMO = "zsad_synthetic.benchmark"
EMBEDDED = SOURCE / "zsad/clip/embedded"
CATALOGUE = SOURCE / "zsad/datasets/entries"
SERVED = "zsad.tracking.serving"


def write_code(params: Params, out: Path = CODE) -> None:
    """Write all digests into `out`, which they replace."""
    with atomic_directory(out) as directory:
        for name, content in _digests(params):
            write_json(directory / f"{name}.json", content)


def _digests(params: Params) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name of the file, its content) of every digest that params.yaml asks for."""
    data = [EMBEDDED / "weights.safetensors", EMBEDDED / "open_clip_config.json"]
    yield "weights", _digest("weights", data=data)
    for stage in ("backbones", "score", "aggregate"):
        yield stage, _digest(stage)
    yield "register", _digest("register", SERVED)
    for key, block in params.datasets.items():
        yield f"fetch/{key}", _digest("fetch", *([DEMO] if block.kind == "demo" else []))
        yield f"index/{key}", _digest("index", data=_entry(key, block))
    for key in params.configurations:
        method = f"zsad.learners.{_method(params, key)}"
        for stage in ("adapt" if key in params.few_shot else "train", "predict"):
            yield f"{stage}/{key}", _digest(stage, method)


def _digest(stage: str, *named: str, data: Iterable[Path] = ()) -> dict[str, Any]:
    """What a stage is made of: its modules and those `named`, and package data."""
    files: Mapping[str, str] = {path.relative_to(SOURCE).as_posix(): file_sha256(path)[:16] for path in data}
    return {"modules": made_of(ENTRIES[stage], *named, apart=APART), **({"data": files} if files else {})}


def _method(params: Params, key: str) -> str:
    configuration = params.configuration(key)
    if configuration.method not in methods():
        known = ", ".join(methods())
        raise UserError(
            f"params.yaml: {configuration.where}: method {configuration.method!r} does not exist; there are: {known}"
        )
    return configuration.method


def _entry(key: str, block: DatasetParams) -> list[Path]:
    """The catalogue's entry of a published set that was unpacked by hand; where `path` is the entry, DVC watches it."""
    path = CATALOGUE / f"{block.id or key}.yaml"
    return [path] if block.kind == "official" and path.is_file() else []
