"""dvc.yaml names every file that decides a stage's output: what a stage imports is compared with what it depends on."""

import ast
from pathlib import Path

import pytest
import yaml

import zsad
from tests.helpers import ROOT
from zsad.learners.lookup import methods

# Files that decide no result: reading parameters, writing files, messages, finding weights by their hash.
EXEMPT = {"config", "errors", "io", "progress", "code", "clip.weights"}
# Files that bring archives: whatever they do, an archive is judged by its hash.
TRANSPORT = Path(zsad.__file__).parent / "datasets/transport"
EXEMPT |= {"datasets.archives", "datasets.licences", "datasets.transport"}
EXEMPT |= {f"datasets.transport.{path.stem}" for path in TRANSPORT.glob("*.py")}
# What a stage imports for others' sake: raw data are drawn by `fetch`, predictions written by `predict`.
NOT_HERE = {
    "fetch": ("datasets.demo",),
    "index": ("datasets.demo", "seeding"),
    "train": ("predictions", "maps"),
    "adapt": ("cells", "predictions", "maps"),
}
LEARNERS = [f"learners.{name}" for name in methods()]  # their own files: data/code/<configuration>.json
ENTRY = {
    "weights": ["clip.weights"],
    "fetch": ["datasets.fetch"],
    "index": ["datasets.index"],
    "train": ["train", *LEARNERS],
    "adapt": ["adapt", *LEARNERS],
    "predict": ["predict", *LEARNERS],
    "predict_few_shot": ["predict", *LEARNERS],
    "score": ["score"],
    "score_few_shot": ["score"],
    "aggregate": ["aggregate"],
}


def file_of(module: str) -> Path:
    path = ROOT / "src/zsad" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def modules_behind(module: str) -> set[str]:
    """`module` and every zsad module it imports at its top level, directly or through another."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for node in ast.parse(file_of(name).read_text()).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zsad"):
                inner = str(node.module).removeprefix("zsad").removeprefix(".")
                names = [".".join(filter(None, [inner, alias.name])) for alias in node.names]
                waiting += [n for n in [*names, inner] if n and file_of(n).is_file()]
    return found


def test_a_set_is_fetched_again_when_its_block_changes() -> None:
    definition = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["fetch"]["do"]
    assert definition["params"] == ["datasets.${key}"]  # single keys would have to stand in every block


@pytest.mark.parametrize("stage", sorted(ENTRY))
def test_what_decides_a_stage_is_a_dependency(stage: str) -> None:
    definition = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    deps = [ROOT / dep for dep in definition.get("do", definition)["deps"] if dep.startswith("src/")]
    needed = {name for entry in ENTRY[stage] for name in modules_behind(entry)} - (EXEMPT - set(ENTRY[stage]))
    missing = {
        name
        for name in needed
        if not any(file_of(name) == dep or file_of(name).is_relative_to(dep) for dep in deps)
        and file_of(name).read_text().count("\n") > 3  # an empty package file
        and not name.startswith(NOT_HERE.get(stage, ()))
        and (name == "learners.base" or not name.startswith("learners."))
    }
    assert missing == set()
