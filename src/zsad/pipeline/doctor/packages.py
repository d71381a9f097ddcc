"""Python and packages: against the least that zsad works with, against the lock file, and what is optional."""

import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from shlex import quote

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from zsad.pipeline.doctor.finding import Finding

PROJECT, LOCK = Path("pyproject.toml"), Path("requirements.lock")
EXTRAS = {  # of people who use zsad, and what they are for; the others are for those who develop it
    "dicom": "DICOM pictures",
    "drive": "datasets from Google Drive",
    "export": "one file for a runtime",
    "gcs": "datasets at gs:// addresses",
    "kaggle": "datasets from Kaggle",
    "ray": "clusters",
    "s3": "datasets at s3:// addresses",
}
SHOWN = 6  # differences that a row lists


@dataclass(frozen=True)
class Wanted:
    """What zsad says that it needs: `>=3.11`, packages, and packages of each extra."""

    python: str
    packages: list[Requirement]
    extras: Mapping[str, list[Requirement]]


def check_packages() -> Iterator[Finding]:
    """Python, the packages, the lock file where there is one, then each extra."""
    wanted = _of_repository() or _of_installation()
    yield _python(wanted.python)
    yield _packages(wanted.packages)
    if LOCK.is_file():
        yield _lock([Requirement(line) for line in LOCK.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()])
    for name, purpose in EXTRAS.items():
        if name in wanted.extras:
            yield _extra(name, purpose, wanted.extras[name])


def _of_repository() -> Wanted | None:
    """By the pyproject.toml of zsad's own repository, which may be newer than what was installed."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8")).get("project", {}) if PROJECT.is_file() else {}
    if project.get("name") != "zsad":
        return None
    extras = {name: [Requirement(one) for one in own] for name, own in project["optional-dependencies"].items()}
    return Wanted(project["requires-python"], [Requirement(one) for one in project["dependencies"]], extras)


def _of_installation() -> Wanted:
    told = metadata.metadata("zsad")
    all_of_them = [Requirement(one) for one in metadata.requires("zsad") or []]
    extras = {
        name: [one for one in all_of_them if one.marker and one.marker.evaluate({"extra": name})]
        for name in told.get_all("Provides-Extra") or []
    }
    plain = [one for one in all_of_them if one.marker is None or one.marker.evaluate({"extra": ""})]
    return Wanted(told["Requires-Python"], plain, extras)


def _python(wanted: str) -> Finding:
    here = ".".join(map(str, sys.version_info[:3]))
    if here in SpecifierSet(wanted):
        return Finding("Python", "ok", here)
    return Finding(
        "Python", "missing", f"{here}, needs {wanted}", f"make PYTHON=python{wanted.strip('>=')} .venv/ready"
    )


def _packages(wanted: list[Requirement]) -> Finding:
    unfit = [one for one in wanted if not _fits(one)]
    if not unfit:
        return Finding("packages", "ok", f"{len(wanted)}, all new enough")
    state = ", ".join(f"{one.name} {_version(one.name) or 'not installed'}" for one in unfit)
    return Finding("packages", "missing", state, _pip(unfit))


def _lock(locked: list[Requirement]) -> Finding:
    other = [one for one in locked if not _fits(one)]
    if not other:
        return Finding(LOCK.name, "ok", f"{len(locked)} packages, all in these versions")
    named = ", ".join(f"{one.name} {_version(one.name) or 'not installed'}" for one in other[:SHOWN])
    more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
    return Finding(LOCK.name, "optional", f"other than locked: {named}{more}", f"pip install -r {LOCK}")


def _extra(name: str, purpose: str, wanted: list[Requirement]) -> Finding:
    unfit = [one for one in wanted if not _fits(one)]
    if not unfit:
        return Finding(f"extra {name}", "ok", purpose)
    return Finding(f"extra {name}", "optional", f"{purpose}: not installed", _pip(unfit))


def _fits(one: Requirement) -> bool:
    here = _version(one.name)
    return here is not None and one.specifier.contains(Version(here).public, prereleases=True)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pip(wanted: list[Requirement]) -> str:
    return " ".join(["pip install", *(quote(f"{one.name}{one.specifier}") for one in wanted)])
