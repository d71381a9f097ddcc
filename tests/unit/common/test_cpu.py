"""How a process computes: environment variables before torch, one thread under `deterministic`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import ROOT
from zsad.common import cpu

SHOW = "import torch; print(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())"
STAGE = "from zsad.cli.parsing import stage_params; import sys; stage_params(); assert 'torch' not in sys.modules; "


def test_deterministic_means_one_thread_and_shared_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "has_avx2", lambda: True)
    told = cpu.settings(deterministic=True, threads=4)
    assert told["OMP_NUM_THREADS"] == "1"
    assert cpu.INSTRUCTIONS.items() <= told.items()
    free = cpu.settings(deterministic=False, threads=4)
    assert free["OMP_NUM_THREADS"] == "4"
    assert not cpu.INSTRUCTIONS.keys() & free.keys()


def test_a_processor_without_avx2_is_not_told_to_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "has_avx2", lambda: False)
    assert not cpu.INSTRUCTIONS.keys() & cpu.settings(deterministic=True, threads=1).keys()


def computing(tmp_path: Path, text: str, **environment: str) -> list[str]:
    """What a stage with this params.yaml computes with: threads, instructions."""
    (tmp_path / "params.yaml").write_text(text)
    clean = {name: value for name, value in os.environ.items() if name not in {*cpu.INSTRUCTIONS, *cpu.THREADS}}
    done = subprocess.run(
        [sys.executable, "-c", STAGE + SHOW],
        cwd=tmp_path,
        env={**clean, "PYTHONPATH": str(ROOT / "src"), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_stage_settles_before_torch_is_imported(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    threads, instructions = computing(tmp_path, text.replace("\nthreads: 1", "\nthreads: 2"))
    assert threads == "1"
    assert instructions == "AVX2" or not cpu.has_avx2()


def test_without_determinism_threads_are_the_users(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    free = text.replace("deterministic: true", "deterministic: false").replace("\nthreads: 1", "\nthreads: 2")
    assert computing(tmp_path, free)[0] == "2"


def test_a_variable_that_is_set_stays(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    assert computing(tmp_path, text, ATEN_CPU_CAPABILITY="default")[1] in ("DEFAULT", "default")


def test_floats_too_small_to_be_normal_are_zero_for_a_while() -> None:
    tiny = torch.full((4,), 1e-30)
    with cpu.without_subnormals():
        assert not (tiny * 1e-10).any()
    assert (tiny * 1e-10).all()
