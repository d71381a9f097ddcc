"""Where the numbers come from: data, settings, code and machine. On the page only; nothing of it enters metrics/."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from zsad.evaluation.report.material import Material

PACKAGES = (
    *("zsad", "torch", "open_clip_torch", "numpy", "scipy", "scikit-learn", "pandas", "opencv-python-headless"),
    *("pillow", "dvc", "mlflow", "matplotlib"),
)
Facts = list[tuple[str, str]]


def provenance(material: Material, lineage: Mapping[str, str]) -> dict[str, Facts]:
    """{heading: [(name, value)]}; lineage: commit, branch, state of the tree, hash of the lock file."""
    return {
        "Code": [*lineage.items()],
        "Data": _hashes(material),
        "Protocol": _protocol(material),
        "Packages": [(name, _version(name)) for name in PACKAGES],
        "Machine that wrote this page": _machine(),
    }


def _hashes(material: Material) -> Facts:
    found: dict[str, set[str]] = {}
    for cell in material.cells:
        found.setdefault(cell["dataset"], set()).add(cell["dataset_hash"])
    return [(dataset, ", ".join(sorted(hashes))) for dataset, hashes in found.items()]


def _protocol(material: Material) -> Facts:
    params = material.params
    sizes = {cell["dataset"]: "{1} × {0}".format(*cell["metrics"]["resolution"]) for cell in material.cells}
    limits = sorted({cell["metrics"]["aupro_fpr_limit"] for cell in material.cells})
    protocols = sorted({cell["protocol"] for cell in material.cells}, reverse=True)
    backbones = [f"{key}: {one.name}, {one.pretrained}, {one.image_size} px" for key, one in params.backbones.items()]
    return [
        ("protocols", ", ".join(protocols)),
        ("seeds", ", ".join(map(str, params.seeds))),
        ("sources", ", ".join(params.sources) or "none"),
        ("backbones", "; ".join(backbones)),
        ("precision", params.precision),
        ("pixel metrics at", ", ".join(f"{key} {size}" for key, size in sizes.items())),
        ("AUPRO up to a false-positive rate of", ", ".join(map(str, limits))),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _machine() -> Facts:
    return [
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("cores", str(os.cpu_count())),
        ("Python", platform.python_version()),
    ]
