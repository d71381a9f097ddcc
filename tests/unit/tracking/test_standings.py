"""Which numbers a configuration's run tells, and who leads: over shared datasets alone, never over what is missing."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.gate_cases import make_cell
from zsad.common.io import write_json
from zsad.config.params import Params
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.results import cell_path
from zsad.tracking.standings import leaders, read_standings, state_of

PARAMS = Params.model_validate(
    {
        "seeds": [0, 1],
        "backbones": {"default": {"name": "embedded", "pretrained": "embedded", "image_size": 112}},
        "sources": {"aux": {}},
        "datasets": {name: {"path": "x"} for name in ("aux", "wood", "steel", "retina")},
        "learners": {"clip_zero": {}, "cops": {}, "cops_paper": {"method": "cops", "protocol": "paper"}},
        "few_shot": {"apt_2shot": {"method": "apt", "shots": 2}},
        "gate": {"cell": {}, "mean": {}},
    }
)
VALUES = {"clip_zero": 0.6, "cops": 0.8, "cops_paper": 0.9, "apt_2shot": 0.7}


@pytest.fixture(autouse=True)
def _cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """cops has no result on its source; on retina only two configurations have any."""
    monkeypatch.chdir(tmp_path)
    for key, value in VALUES.items():
        for dataset in ("wood", "steel"):
            write(key, dataset, value + 0.1 * (dataset == "steel"))
    write("clip_zero", "aux", 0.1)
    write("cops", "aux", None)
    write("cops", "retina", 0.2)
    write("apt_2shot", "retina", 0.3)


def write(key: str, dataset: str, value: float | None, **changes: Any) -> None:
    domain = "medical" if dataset == "retina" else {"wood": "texture"}.get(dataset, "industrial")
    cell = make_cell(key, dataset, value) | {"domain": domain, "method": PARAMS.configuration(key).method} | changes
    write_json(cell_path(key, dataset), cell)


def test_metrics_by_dataset_and_means_over_the_datasets_that_all_share() -> None:
    cops = next(standing for standing in read_standings(PARAMS, []) if standing.key == "cops")
    assert cops.shared == {"wood", "steel"}
    assert {name: value for name, value in cops.metrics.items() if name.endswith("/image_ap")} == pytest.approx(
        {
            "all/image_ap": 0.85,
            "domain/texture/image_ap": 0.8,
            "domain/industrial/image_ap": 0.9,
            "on/wood/image_ap": 0.8,
            "on/steel/image_ap": 0.9,
            "on/retina/image_ap": 0.2,
        }
    )
    groups = [name.partition("/")[0] for name in sorted(cops.metrics)]
    assert groups == sorted(groups, key=["all", "domain", "on"].index)  # as MLflow sorts sections and columns


def test_what_is_undefined_is_left_out() -> None:
    values = dict.fromkeys(METRICS, 0.5) | {"pixel_aupro": None}
    for dataset in ("wood", "steel"):
        write("cops", dataset, 0.5, mean=values)
    cops = next(standing for standing in read_standings(PARAMS, []) if standing.key == "cops")
    assert "all/pixel_aupro" not in cops.metrics
    assert cops.metrics["all/image_auroc"] == 0.5


def test_the_best_of_each_track_by_domain_never_of_protocol_paper() -> None:
    best = {name: [standing.key for standing in order] for name, order in leaders(read_standings(PARAMS, [])).items()}
    assert best["all/image_auroc", "zero-shot"] == ["cops", "clip_zero"]
    assert best["domain/texture/pixel_aupro", "2-shot"] == ["apt_2shot"]
    assert not any("medical" in name for name, _ in best)  # not every configuration was scored there


def test_other_results_are_another_state_and_the_same_ones_are_not() -> None:
    before = read_standings(PARAMS, [])
    assert state_of(read_standings(PARAMS, [])) == state_of(before)
    write("cops", "wood", 0.81)
    after = read_standings(PARAMS, [])
    assert state_of(after) != state_of(before)
    changed = [new.key for old, new in zip(before, after, strict=True) if old.digest != new.digest]
    assert changed == ["cops"]


def test_no_results_are_no_standings() -> None:
    for path in Path("metrics/cells").rglob("*.json"):
        path.unlink()
    assert read_standings(PARAMS, []) == []
