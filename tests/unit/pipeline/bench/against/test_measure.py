"""What turns come to, our own loops, and what is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from tests.helpers import ROOT
from zsad.cli.main import main
from zsad.common.errors import UserError
from zsad.config.schema import BackboneParams
from zsad.pipeline.bench.against import measure, ours, prepare
from zsad.pipeline.bench.against.case import INFERENCE, PICTURES, TRAINING, Case
from zsad.pipeline.bench.against.prepare import write_learner, write_shared
from zsad.pipeline.bench.against.process import recorded_losses
from zsad.pipeline.bench.against.turns import GoneError, Turn

SIDE = 32


def turns(values: Sequence[tuple[float, float]], operations: int | None = None) -> list[tuple[Turn, Turn]]:
    return [(Turn(a, 10 * a, operations), Turn(b, 10 * b, operations and 2 * operations)) for a, b in values]


def test_rows_of_inference_leave_the_first_and_the_counted_picture_out() -> None:
    pairs = turns([(9, 9), (0.001, 0.003), (0.002, 0.004), (0.003, 0.012)]) + turns([(9, 9)], 10**9)
    found = {row.what: (row.ours, row.official, row.ratio) for row in measure._inference_rows("m", pairs)}
    assert found["a picture at batch 1"] == pytest.approx((2, 4, 3))
    assert found["operations of a picture"] == (1, 2, 2)
    assert found["peak memory, inference"] == pytest.approx((0.03, 0.12, 4))


def test_encoding_counts_in_the_first_epoch_and_in_the_run() -> None:
    case = Case("m", TRAINING, "", "cpu", 4, SIDE, 8, 8, 64, 0, [], 0, {})
    pairs = turns([(1, 10)] * 2 + [(1, 20)] * 4) + turns([(9, 9)] * 2, 10**9 * PICTURES)
    rows = measure._training_rows("m", [Turn(4, 0)], pairs, case)
    found = {row.what: (row.ours, row.official, row.ratio) for row in rows}
    assert found[f"the first epoch of {PICTURES} pictures"] == pytest.approx((6, 20, 20 / 6))
    assert found["an epoch from the second on"] == (2, 40, 20)
    assert found["a run of 3 epochs"] == (10, 100, 10)
    assert found["operations of a picture in such an epoch"] == (2, 4, 2)


def test_what_is_not_equal_is_said() -> None:
    row = measure.Row("m", "a picture", "ms", 1.0, 2.0, 2.0)
    told = measure.as_markdown(
        [measure.Beside("m", "c", [row], {"map": 2e-4, "score": 0, "loss of the first step": 0})]
    )
    assert "NOT EQUAL: map;" in told
    told = measure.as_markdown([measure.Beside("m", "c", [row], dict.fromkeys(measure.EQUAL, 1e-5))])
    assert "NOT EQUAL" not in told
    gaps = measure._differences({"losses": np.array([1.0, 1.1])}, {"losses": np.array([1.0, 1.0])})
    assert gaps == pytest.approx({"loss of the first step": 0, "loss of any step": 0.1})


class Asked:
    """Counts turns."""

    count = 0

    def next(self) -> None:
        self.count += 1

    def end(self) -> None: ...


def test_our_loops_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_config: dict[str, Any]) -> None:
    monkeypatch.setattr(prepare, "config_as_openai", lambda params: tiny_config)
    for owner, name in ((torch, "randn"), (torch, "randn_like"), (torch, "randint"), (torch.Tensor, "backward")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    write_shared(tmp_path, BackboneParams(name="tiny", pretrained="openai", image_size=SIDE))
    found: dict[str, Any] = {}
    losses = recorded_losses()
    for what, wanted in ((INFERENCE, PICTURES), (TRAINING, 1 + 2 * 2)):
        case = write_learner(tmp_path, "cops", what, tmp_path, "cpu", 2, SIDE)
        assert Case.read(tmp_path) == case
        asked = Asked()
        found[what] = ours.run(tmp_path, case, asked)  # type: ignore[arg-type]
        assert asked.count == wanted
    assert found[INFERENCE]["maps"].shape == (PICTURES, SIDE, SIDE)
    assert 0 <= found[INFERENCE]["maps"].min() < found[INFERENCE]["maps"].max() <= 1
    assert len(losses) == 4


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["backbones"]["default"]["image_size"] = SIDE
    Path("params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "cops"], "expected METHOD=DIR"),
        (["--against", "april_gan=."], "no official repository of it is known; there are: anomalyclip"),
        (["--against", "cops=missing"], "no such folder; clone github.com/cqylunlun/CoPS there"),
        (["cops", "--against", "cops=."], "--against takes no KEY"),
        (["--against", "cops=.", "--rounds", "1"], "--rounds 1: --against wants at least 2"),
    ],
)
def test_what_cannot_be_compared_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["bench", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_another_commit_is_found_before_anything_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("test.py", "train.py"):
        Path(name).write_text("")
    assert main(["bench", "--against", "anomalyclip=."]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "'DPAM_layer = 20' stands there 0 times" in told
    assert "check out github.com/zqhang/AnomalyCLIP at 45ed4dd" in told


class Ended:
    """A process that has ended."""

    last_words = "ModuleNotFoundError: No module named 'kornia'"

    def take(self, command: str) -> Turn:
        raise GoneError


def test_a_side_that_stopped_is_shown_with_its_last_words() -> None:
    case = Case("cops", INFERENCE, "dir", "cpu", 4, SIDE, 8, 8, 64, 0, [], 0, {})
    with pytest.raises(UserError, match="dir/test.py stopped:\nModuleNotFoundError: .*\n.* commit a3a41fc"):
        measure._one(Ended(), "official", "time", case)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="our side of cops stopped:\nModuleNotFoundError"):
        measure._one(Ended(), "ours", "time", case)  # type: ignore[arg-type]
