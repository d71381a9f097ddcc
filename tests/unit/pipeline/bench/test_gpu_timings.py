"""What `make gpu` times on a GPU, here on the CPU with a small CLIP: methods of both kinds, in both precisions."""

from pathlib import Path
from typing import Any

import pytest

from tests.gpu.measure import timings
from zsad.common.errors import UserError


def test_timings(
    tiny_config: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = timings(tiny_config, "cpu", 48, [1], 1, ["anomalyclip", "patch_memory"])
    for precision in ("fp32", "bf16"):
        rows = {(row["what"], row["name"]) for row in found[precision]["rows"]}
        assert {
            ("prediction", "anomalyclip"),
            ("prediction", "patch_memory_1shot"),
            ("training step", "anomalyclip"),
        } <= rows
        assert found[precision]["environment"]["precision"] == precision
    assert " ".join(capsys.readouterr().out.split()).count("| prediction | anomalyclip |") == 2
    assert not list(tmp_path.iterdir())


def test_without_a_gpu_it_says_so(tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="torch sees no GPU"):
        timings(tiny_config, "cuda", 48, [1], 1, ["anomalyclip"])
