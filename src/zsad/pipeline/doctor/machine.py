"""GPU and CPU: what there is, what torch makes of it, and what params.yaml asks for."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from zsad.common.cpu import cores, has_avx2
from zsad.config.params import Params
from zsad.pipeline.doctor.finding import Finding

ASK_DRIVER = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
DRIVER_SECONDS = 10.0
ON_CPU = "zsad profile apply params.yaml device=auto"


def check_machine(params: Params | None) -> Iterator[Finding]:
    """The GPU, then the CPU."""
    yield _gpu("auto" if params is None else params.device, _gpus())
    yield _cpu(params)


def _gpu(device: str, gpus: list[str]) -> Finding:
    """torch is imported only if the driver names a GPU and torch was built for CUDA."""
    asked = device == "cuda"
    if not gpus and asked:
        return Finding("GPU", "missing", "none, but params.yaml says `device: cuda`", ON_CPU)
    if not gpus:
        return Finding("GPU", "ok", "none: computing on the CPU")
    state = "; ".join(gpus)
    if device == "cpu":
        return Finding("GPU", "ok", f"{state}, unused: params.yaml says `device: cpu`")
    if (cuda := _cuda_of_torch()) is None:
        remedy = "pip install --force-reinstall torch torchvision"
        return Finding(
            "GPU", "missing" if asked else "optional", f"{state}, but this torch is built without CUDA", remedy
        )
    if not _torch_sees_it():
        remedy = f"update the NVIDIA driver to one for CUDA {cuda}, or install a torch for the driver's CUDA"
        return Finding("GPU", "missing" if asked else "optional", f"{state}, but torch cannot use it", remedy)
    return Finding("GPU", "ok", f"{state}, by torch {metadata.version('torch')} with CUDA {cuda}")


def _gpus() -> list[str]:
    """Name and driver of each, as the driver tells; none where there is no driver, or it does not answer."""
    if shutil.which(ASK_DRIVER[0]) is None:
        return []
    try:
        done = subprocess.run(ASK_DRIVER, capture_output=True, text=True, timeout=DRIVER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return []
    lines = [line.split(", ") for line in done.stdout.splitlines()] if done.returncode == 0 else []
    return [f"{name} (driver {driver})" for name, driver in lines]


def _cuda_of_torch() -> str | None:
    """The CUDA that torch was built for, read from its files."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    told = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    match = re.search(r"^cuda\b.*=\s*['\"]([\d.]+)['\"]", told, re.MULTILINE)
    return match[1] if match else None


def _torch_sees_it() -> bool:
    import torch

    return torch.cuda.is_available()


def _cpu(params: Params | None) -> Finding:
    state = f"{cores()} cores"
    if params is None:
        return Finding("CPU", "ok", state)
    if params.deterministic and not has_avx2():
        return Finding(
            "CPU", "optional", f"{state}, no AVX2: other bits than on x86 processors that have it (docs/repro.md)"
        )
    if not params.deterministic and params.threads > cores():
        remedy = f"zsad profile apply params.yaml threads={cores()}"
        return Finding("CPU", "optional", f"{state}, fewer than `threads: {params.threads}`", remedy)
    used = 1 if params.deterministic else params.threads
    return Finding("CPU", "ok", f"{state}; a process computes with {used}, `zsad repro` runs one a core")
