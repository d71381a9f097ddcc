"""What a configuration's method and backbone are made of, as digests.

DVC matrices can look up neither `learners.<key>.method` nor `learners.<key>.backbone`, so the stage `code@<key>` writes
the digests of the method's file (and of the learner files it imports) and the identity of its backbone to
data/code/<key>.json, and training depends on that: a change to one method's file or to one backbone re-runs the
configurations that use it and nothing else.
"""

import ast
from pathlib import Path

import zsad
from zsad.config import Params
from zsad.errors import UserError
from zsad.io import content_hash, file_sha256, read_json, write_json

PACKAGE = Path(zsad.__file__).parent
CONTRACTS = ("base", "few_shot")  # learner files that hold no method
BASE = Path("data/code")
WEIGHTS = Path("data/weights")


def write_code(params: Params, key: str) -> None:
    """Write data/code/<key>.json: {files: {learner file: sha256}, backbone: parameters and sha256 of the weights}."""
    configuration = params.configuration(key)
    method = configuration.method
    if method in CONTRACTS or not _learner_file(method).is_file():
        raise UserError(f"params.yaml: {configuration.where}: method {method!r} does not exist; there are: {methods()}")
    weights = read_json(WEIGHTS / configuration.backbone_key / "backbone.json")
    made_of = {
        "files": {path.name: file_sha256(path) for path in learner_files(method)},
        "backbone": {**configuration.backbone.model_dump(), "sha256": weights["sha256"]},
    }
    write_json(BASE / f"{key}.json", made_of)


def methods() -> str:
    """Names of the methods on disk, for messages."""
    return ", ".join(sorted(f.stem for f in _learner_file("base").parent.glob("[a-z]*.py") if f.stem not in CONTRACTS))


def learner_files(method: str) -> list[Path]:
    """The method's file and every learner file it imports, itself or through another; `base` is shared by all."""
    found: dict[str, Path] = {}
    waiting = [method]
    while waiting:
        name = waiting.pop()
        if name in found or name == "base":
            continue
        found[name] = _learner_file(name)
        waiting += _imported_learners(ast.parse(found[name].read_text(encoding="utf-8")))
    return [found[name] for name in sorted(found)]


def _imported_learners(tree: ast.Module) -> list[str]:
    """Names of the learner files that a learner file imports, in whichever way it says so."""
    modules: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, ["zsad.learners" if node.level else "", node.module]))
            modules += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    inside = [module.removeprefix("zsad.learners.") for module in modules if module.startswith("zsad.learners.")]
    return [name for name in (module.split(".")[0] for module in inside) if _learner_file(name).is_file()]


def package_hash() -> str:
    """One hash over all of zsad's source: state of an interrupted run is only resumed by the code that wrote it."""
    files = sorted(PACKAGE.rglob("*.py"))
    return content_hash([[str(path.relative_to(PACKAGE)), file_sha256(path)] for path in files])


def _learner_file(name: str) -> Path:
    return PACKAGE / "learners" / f"{name}.py"
