"""The architecture, enforced: imports go one way, and light commands start without heavy libraries."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import zsad

PACKAGE = Path(zsad.__file__).parent
# A module imports only from its own line or from lines above. A trailing dot stands for a whole package.
LAYERS = (
    ("errors", "seeding", "progress"),
    ("io",),
    ("config",),
    ("code", "profiles", "journal", "maps"),
    ("datasets.",),
    ("predictions",),
    ("cells", "support"),
    ("clip.",),
    ("losses",),
    ("learners.",),
    ("checkpoint", "source_data"),
    ("training_cell",),
    ("official.",),
    ("importing", "imported"),
    ("train", "adapt", "predict", "predictor"),
    ("metrics.",),
    ("score",),
    ("aggregate", "gate"),
    ("trainings", "candidates"),
    ("store",),
    ("tracking",),
    ("model_registry", "serving"),
    ("__main__",),
)
MLFLOW = {"store", "tracking", "model_registry", "serving"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def layer_of(module: str) -> int:
    for level, names in enumerate(LAYERS):
        if any(module == name or (name.endswith(".") and (module + ".").startswith(name)) for name in names):
            return level
    raise AssertionError(f"zsad.{module} has no layer: place it in this test's LAYERS")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "zsad":
            found |= {f"zsad.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    level = layer_of(name_of(path))
    for module in imports_of(path):
        if module.startswith("zsad.") and module != "zsad.__version__":
            target = module.removeprefix("zsad.")
            assert layer_of(target) <= level, f"{name_of(path)} imports {target}, which lies above it"


def test_only_tracking_talks_to_mlflow() -> None:
    users = {name_of(path) for path in MODULES if any(name.split(".")[0] == "mlflow" for name in imports_of(path))}
    assert users <= MLFLOW


def test_only_the_adapter_knows_open_clip() -> None:
    users = {name_of(path) for path in MODULES if any(name.split(".")[0] == "open_clip" for name in imports_of(path))}
    assert {name for name in users if not name.startswith("clip.")} == set()


@pytest.mark.parametrize(
    "module", ["score", "aggregate", "gate", "code", "datasets.fetch", "datasets.index", "__main__"]
)
def test_light_stages_start_without_torch_and_mlflow(module: str) -> None:
    heavy = {"torch", "mlflow", "open_clip", "sklearn"}
    program = f"import sys, zsad.{module}; print(*{heavy!r} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
