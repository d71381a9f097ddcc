"""Cost of trainings and predictions, from a journal and the runner's notes."""

import json
from pathlib import Path

import pytest

from tests.helpers.report_cases import make_cell, make_params
from zsad.config.schema import FewShotFormParams
from zsad.pipeline.cost.measured import prediction_cost, training_cost
from zsad.tracking.journal import Journal, journal_path


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_training() -> None:
    journal = Journal(journal_path("cops", "aux"))
    start = {
        "learner": "cops",
        "source": "aux",
        "config_hash": "c",
        "params": {},
        "dataset": {"hash": "h", "n_images": 7},
    }
    journal.append("start", **start)
    for epoch, speed in enumerate((10.0, 30.0, 20.0)):
        journal.append("epoch", seed=0, epoch=epoch, losses={}, seconds=1.0, images_per_second=speed)
        journal.append("system", rss_mib=100.0 + epoch)
    journal.append("end", checkpoints={"0": "x", "1": "y"}, wall_seconds=9.5)
    journal.append("start", **start)  # goes on, not ended
    assert training_cost(make_params()) == [
        {
            "learner": "cops",
            "trained on": "aux",
            "seeds": 2,
            "pictures": 7,
            "seconds, all seeds": 9.5,
            "pictures a second": 20.0,
            "peak memory, MiB": 102.0,
            "peak GPU memory, MiB": None,
        }
    ]


def test_prediction() -> None:
    assert prediction_cost(make_params()) == []
    form = FewShotFormParams(of="cops", shots=1)
    params = make_params().model_copy(update={"few_shot_of": {"cops_1shot": form}})
    for key in ("cops", "apt_2shot", "cops_1shot"):
        path = Path(f"metrics/cells/{key}/wood.json")
        path.parent.mkdir(parents=True)
        more = {"n_images": 40, "config_hash": "c", "dataset_hash": "d", "prediction_hash": "p", "metrics": {}}
        path.write_text(json.dumps({**make_cell(key, "wood", 0.8), **more, "undefined": {}}))
    Path("data/logs").mkdir(parents=True)
    seconds = {"predict@cops-wood": 6.0, "predict_few_shot@apt_2shot-wood": 3.0, "predict@clip_zero-wood": 1.0}
    seconds["predict_adapted@cops_1shot-wood"] = 1.5
    Path("data/logs/seconds.json").write_text(json.dumps(seconds))
    rows = prediction_cost(params)
    assert [(row["learner"], row["pictures × seeds"], row["pictures a second"]) for row in rows] == [
        ("cops", 120, 20.0),
        ("apt_2shot", 120, 40.0),
        ("cops_1shot", 120, 80.0),
    ]
