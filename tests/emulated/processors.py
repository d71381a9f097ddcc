"""Steps and predictions of every learner on other processors: emulated by qemu-x86_64, 10 to 40 times slower.

`pytest tests/emulated/processors.py` checks what the documentation promises: under the settings that go with
`deterministic: true` processors of one vendor compute the same bits. `python -m tests.emulated.processors` prints what
agrees with this machine, with the settings and without. Both need qemu's user-mode emulation (Debian: qemu-user) and
take about 20 minutes. The name keeps this file out of `pytest` and `make test`.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulated.steps import LEARNERS, QUANTITIES
from tests.helpers import ROOT
from zsad.common.cpu import INSTRUCTIONS

EMULATOR = "qemu-x86_64"
PROCESSORS = {"GenuineIntel": ("Haswell", "Broadwell"), "AuthenticAMD": ("EPYC-Rome", "EPYC-Milan")}
THIS = ""  # this machine, among names of processors
# Heatmaps are NumPy's, whose exp has another form for AVX-512: promised once the settings cover that.
PROMISED = [name for name in QUANTITIES if name != "heatmaps" or "NPY_DISABLE_CPU_FEATURES" in INSTRUCTIONS]

Digests = dict[str, dict[str, str]]  # of each learner: of each quantity


def digests(processor: str, *options: str) -> Digests:
    """What tests/emulated/steps.py prints on a processor."""
    emulator = [EMULATOR, "-cpu", processor] if processor else []
    command = [*emulator, sys.executable, "-m", "tests.emulated.steps", *options, *LEARNERS]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [json.loads(line) for line in printed.splitlines()]
    return {line.pop("learner"): line for line in lines}


def differing(some: Digests, others: Digests, quantities: list[str]) -> dict[str, list[str]]:
    """Learner → quantities that are not the same bits, where there are any."""
    found = {
        learner: [name for name in quantities if some[learner].get(name) != others[learner].get(name)]
        for learner in some
    }
    return {learner: names for learner, names in found.items() if names}


def vendor() -> str:
    """Of this machine's processor."""
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return next((name for name in PROCESSORS if name in told), "")


@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("maker", PROCESSORS)
def test_processors_of_one_vendor_compute_the_same_bits(maker: str) -> None:
    """This machine and an emulated one where it is of that vendor, else two emulated ones."""
    assert shutil.which(EMULATOR), f"{EMULATOR} is not installed (Debian: apt-get install qemu-user)"
    first, second = PROCESSORS[maker]
    one, other = digests(first), digests(THIS if maker == vendor() else second)
    assert list(one) == list(other) == list(LEARNERS)
    assert not differing(one, other, PROMISED)


def table() -> str:
    """Markdown: for each learner and processor, which quantities are not those of this machine with the settings."""
    runs = [(processor, options) for processor in (THIS, "Haswell", "EPYC-Rome") for options in ((), ("--free",))]
    found = [digests(processor, *options) for processor, options in runs]
    heads = [f"{processor or 'this machine'}, {'free' if options else 'settings'}" for processor, options in runs]
    lines = ["| learner | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for learner in LEARNERS:
        cells = [differing(found[0], run, list(QUANTITIES)).get(learner, []) for run in found]
        lines.append(f"| {learner} | " + " | ".join(", ".join(names) or "equal" for names in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
