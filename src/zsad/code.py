"""What a configuration's method is made of, as file digests.

DVC matrices cannot look up `learners.<key>.method`, so the stage `code@<key>` writes the digest of the method's file
(and of the learner files it imports) to data/code/<key>.json, and training depends on that: a change to one method's
file re-runs that method's configurations and nothing else.
"""

import ast
from pathlib import Path

import zsad
from zsad.config import Params
from zsad.errors import UserError
from zsad.io import content_hash, file_sha256, write_json

PACKAGE = Path(zsad.__file__).parent
BASE = Path("data/code")


def write_code(params: Params, key: str) -> None:
    """Write data/code/<key>.json: learner file → sha256."""
    method = params.configuration(key).method
    if not _learner_file(method).is_file():
        known = ", ".join(sorted(f.stem for f in _learner_file("base").parent.glob("[a-z]*.py") if f.stem != "base"))
        raise UserError(f"params.yaml: learners.{key}: method {method!r} does not exist; there are: {known}")
    write_json(BASE / f"{key}.json", {path.name: file_sha256(path) for path in learner_files(method)})


def learner_files(method: str) -> list[Path]:
    """The method's file and every learner file it imports, itself or through another; `base` is shared by all."""
    found: dict[str, Path] = {}
    waiting = [method]
    while waiting:
        name = waiting.pop()
        if name in found or name == "base":
            continue
        found[name] = _learner_file(name)
        for node in ast.walk(ast.parse(found[name].read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zsad.learners."):
                waiting.append(str(node.module).rsplit(".", 1)[1])
    return [found[name] for name in sorted(found)]


def package_hash() -> str:
    """One hash over all of zsad's source: state of an interrupted run is only resumed by the code that wrote it."""
    files = sorted(PACKAGE.rglob("*.py"))
    return content_hash([[str(path.relative_to(PACKAGE)), file_sha256(path)] for path in files])


def _learner_file(name: str) -> Path:
    return PACKAGE / "learners" / f"{name}.py"
