"""What the doctor says of packages, GPU and CPU, of each the case in which something is missing."""

import tomllib
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.unit.pipeline.doctor.conftest import PARAMS
from zsad.config.params import Params
from zsad.pipeline.doctor import machine
from zsad.pipeline.doctor.finding import Finding
from zsad.pipeline.doctor.machine import check_machine
from zsad.pipeline.doctor.packages import EXTRAS, check_packages

FOR_DEVELOPERS = {"dev", "pretrain"}


def found(findings: object) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


def params(**changes: object) -> Params:
    return Params.model_validate({**PARAMS, **changes})


def test_here_nothing_is_missing_by_what_was_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = found(check_packages())
    assert [told[name].level for name in ("Python", "packages")] == ["ok", "ok"]
    assert "requirements.lock" not in told


def test_packages_that_are_old_absent_or_other_than_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text(
        '[project]\nname = "zsad"\nrequires-python = ">=9"\ndependencies = ["numpy>=99", "no_such_package>=1"]\n'
        '[project.optional-dependencies]\ndrive = ["no_such_package>=2"]\nkaggle = ["numpy>=1"]\ndev = ["numpy>=99"]\n'
    )
    Path("requirements.lock").write_text("# exact\nnumpy==1.0\npyyaml==1.0\n")
    told = found(check_packages())
    assert told["Python"].level == "missing"
    assert "needs >=9" in told["Python"].state
    assert told["packages"].level == "missing"
    assert told["packages"].state.endswith("no_such_package not installed")
    assert told["packages"].remedy == "pip install 'numpy>=99' 'no_such_package>=1'"
    assert told["requirements.lock"].level == "optional"
    assert "numpy" in told["requirements.lock"].state
    assert told["extra drive"].row == {
        "what": "extra drive",
        "state": "optional: datasets from Google Drive: not installed",
        "remedy": "pip install 'no_such_package>=2'",
    }
    assert told["extra kaggle"].level == "ok"
    assert "extra dev" not in told


def test_each_extra_has_a_purpose() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) == set(EXTRAS) | FOR_DEVELOPERS


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A driver's own tool that names one GPU, which torch will not find."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Drawn GPU, 1.0'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    return tool


def gpu(**changes: object) -> Finding:
    return found(check_machine(params(**changes)))["GPU"]


def test_without_a_gpu_only_cuda_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu() == Finding("GPU", "ok", "none: computing on the CPU")
    asked = gpu(device="cuda")
    assert (asked.level, asked.remedy) == ("missing", "zsad profile apply params.yaml device=auto")


def test_a_gpu_that_torch_cannot_use(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(machine, "_cuda_of_torch", lambda: "13.0")
    assert gpu(device="cpu").level == "ok"
    assert (gpu().level, gpu(device="cuda").level) == ("optional", "missing")
    assert gpu().state == "Drawn GPU (driver 1.0), but torch cannot use it"
    assert "update the NVIDIA driver to one for CUDA 13.0" in gpu().remedy
    monkeypatch.setattr(machine, "_cuda_of_torch", lambda: None)
    assert (gpu().level, gpu(device="cuda").level) == ("optional", "missing")
    assert "built without CUDA" in gpu().state


def test_a_gpu_that_torch_uses(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(machine, "_cuda_of_torch", lambda: "13.0")
    assert (gpu().level, "with CUDA 13.0" in gpu().state) == ("ok", True)
    driver.write_text("#!/bin/sh\necho 'no driver' >&2; exit 9\n")
    assert gpu().state == "none: computing on the CPU"


def test_what_torch_was_built_for_is_what_torch_says() -> None:
    import torch

    assert machine._cuda_of_torch() == torch.version.cuda


def test_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def cpu(**changes: object) -> Finding:
        return found(check_machine(params(**changes)))["CPU"]

    monkeypatch.setattr(machine, "has_avx2", lambda: True)
    assert cpu().level == "ok"
    many = cpu(deterministic=False, threads=9999)
    assert (many.level, many.remedy) == ("optional", f"zsad profile apply params.yaml threads={machine.cores()}")
    monkeypatch.setattr(machine, "has_avx2", lambda: False)
    assert (cpu().level, "no AVX2" in cpu().state) == ("optional", True)
    assert cpu(deterministic=False).level == "ok"
