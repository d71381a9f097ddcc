"""A learner's steps and predictions are the same bits whatever number of threads the machine offers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulated.steps import LEARNERS
from zsad.common.cpu import INSTRUCTIONS, THREADS, has_avx2, vendor

ROOT = Path(__file__).parents[3]
AVX2_ONLY = pytest.mark.skipif(not has_avx2(), reason="the settings are for x86 processors with AVX2")


def python(*arguments: str, threads: int, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python where a library that is not told otherwise takes so many threads."""
    inherited = {name: value for name, value in os.environ.items() if name not in {*THREADS, *INSTRUCTIONS}}
    offered = {"OMP_NUM_THREADS": str(threads), **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=inherited | offered, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def one_thread() -> str:
    return python("-m", "tests.emulated.steps", *LEARNERS, threads=1).stdout


@pytest.mark.parametrize(("threads", "learners"), [(2, LEARNERS[::2]), (4, LEARNERS[1::2])])
def test_the_same_bits_with_more_threads_offered(one_thread: str, threads: int, learners: tuple[str, ...]) -> None:
    several = python("-m", "tests.emulated.steps", "--threads", str(threads), *learners, threads=threads).stdout
    with_one = {found["learner"]: found for found in map(json.loads, one_thread.splitlines())}
    assert with_one.keys() == set(LEARNERS)
    assert [json.loads(line) for line in several.splitlines()] == [with_one[learner] for learner in learners]


PROBE = """
from zsad.common.cpu import settle
settle(True, 4)
import torch
torch.rand(64, 64) @ torch.rand(64, 64)
torch.nn.functional.conv2d(torch.rand(2, 3, 32, 32), torch.rand(8, 3, 8, 8), stride=8)
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
"""


@AVX2_ONLY
def test_every_library_takes_the_shared_instructions() -> None:
    """torch's own kernels, oneDNN and MKL, by what they say themselves."""
    said = python("-c", PROBE, threads=4, ONEDNN_VERBOSE="1", MKL_VERBOSE="1").stdout
    assert "AVX2 1" in said.splitlines()
    assert "info,cpu,isa:Intel AVX2" in said
    if vendor() == "GenuineIntel":  # on others MKL has one path, whatever is asked
        assert re.findall(r"MKL_VERBOSE SGEMM.* CNR:(\w+) .*NThr:(\d+)", said) == [("AVX2", "1")]
