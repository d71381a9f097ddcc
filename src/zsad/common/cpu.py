"""How a process computes on the CPU: with how many threads, which instructions, and down to which numbers.

Training is chaotic: the last bit of a sum decides which minimum is found. Under `deterministic` a process therefore
computes with one thread and with instructions that x86 processors share (AVX2), whatever this one could do besides.
Measured on AVX-512 processors: matrix products are as fast that way on AMD's EPYC and take 1.1 to 1.6 times as long on
an Intel Cascade Lake; and a second thread brings a process 1.2 to 1.4 times its speed where a second process brings
nearly twice. Cores are used by running cells side by side.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

INSTRUCTIONS = {  # read when a library first computes: of torch's own kernels, of oneDNN, of MKL
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def settings(deterministic: bool, threads: int) -> dict[str, str]:
    """Environment variables of a process that is to compute so; `deterministic` allows one thread."""
    count = 1 if deterministic else threads
    shared = INSTRUCTIONS if deterministic and has_avx2() else {}
    return {**shared, **dict.fromkeys(THREADS, str(count))}


def settle(deterministic: bool, threads: int) -> None:
    """Make this process compute so. To be called before torch is imported; a variable that is set already stays.

    Where torch is loaded, as in a worker of the grid runner, the number of threads is still changed.
    """
    for name, value in settings(deterministic, threads).items():
        os.environ.setdefault(name, value)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1 if deterministic else threads)


@contextmanager
def without_subnormals() -> Iterator[None]:
    """Floats that are too small to be normal (below 1e-38) are zero meanwhile, in this thread. Not to be nested.

    Gradients through sharp attention are among them, and a processor takes a hundred times as long over each.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@cache
def vendor() -> str:
    """Who made the processor, as x86 processors tell it under Linux; elsewhere its architecture."""
    return _fact("vendor_id") or platform.machine()


def processor() -> str:
    """Its own name."""
    return _fact("model name") or platform.processor() or platform.machine()


def _fact(what: str) -> str:
    """Of the first core, as Linux tells it; empty where it does not."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(what)), "")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def has_avx2() -> bool:
    """Whether this is an x86 processor with AVX2; where the system does not tell, no."""
    return platform.machine() in ("x86_64", "AMD64") and "avx2" in _fact("flags").split()
