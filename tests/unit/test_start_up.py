"""Light commands start at once: what is imported for them is counted, and `import zsad` loads nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "mlflow", "open_clip", "sklearn"}
LIGHT = ("pandas", "pydantic", "cv2", "PIL", "yaml", "rich")  # fine in a stage, too slow for `zsad --help`


def loaded(program: str) -> set[str]:
    """Packages that a program has loaded when it ends."""
    code = f"import sys; {program}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module",
    [
        "evaluation.score",
        "evaluation.gate",
        "evaluation.aggregate",
        "evaluation.report.page",
        "evaluation.comparison.output",
        "datasets.fetch",
        "datasets.index",
        "inference.calibration",
        "inference.predict",
        "inference.pictures.run",
        "pipeline.stage_code",
        "pipeline.leftovers",
        "tracking.calibrations",
        "tracking.loading",
        "tracking.recording",
    ],
)
def test_light_stages_start_without_torch_and_mlflow(module: str) -> None:
    assert not loaded(f"import zsad.{module}") & HEAVY


def test_scoring_and_the_gate_need_no_tables() -> None:
    assert not loaded("import zsad.evaluation.score, zsad.evaluation.gate") & {"pandas", "scipy"}


def test_telling_what_is_there_reads_no_pictures() -> None:
    assert not loaded("import zsad.datasets.describe") & {*HEAVY, "numpy", "cv2", "requests"}


def test_importing_zsad_and_its_command_line_loads_next_to_nothing() -> None:
    assert not loaded("import zsad; dir(zsad)") & {*HEAVY, *LIGHT, "numpy"}
    assert not loaded("from zsad.cli.main import _parser; _parser()") & {*HEAVY, *LIGHT, "numpy"}
